#pragma once
// The options of measure_sensitivity(); see core/options.h.
#include "stamp/io/model_files.h"
#include "stamp/pipelines/options/values.h"
#include "stamp/pipelines/sensitivity.h"

namespace stamp {

template <class Visitor>
void visit_options(SensitivityOptions& o, Visitor&& visit) {
  visit.argument("model", o.model, "Hugging Face directory, or GGUF file");
  visit("text", o.text, "text to score (default: MODEL/heldout.txt)");
  visit("recipe", o.recipe, "preset name or JSON file: how each tensor is quantized");
  visit("calibration", o.calibration,
        "calibration text, never the scored one (default: MODEL/calibration.txt)");
  visit("cache", o.cache,
        "folder that keeps learned transforms and finished windows, so that an interrupted run "
        "continues");
  visit("context", o.context, "tokens per window");
  visit("windows", o.max_windows, "at most so many windows; 0: all");
  visit("bos", bos_values(o.bos_every_window), "which windows start with BOS");
}
template <>
inline SensitivityOptions default_options() {
  return {.recipe = load_recipe("w4a4kv4-stamp")};
}
inline void complete_options(SensitivityOptions& o) {
  if (o.text.empty()) o.text = model_folder(o.model) / "heldout.txt";
}

}  // namespace stamp
