#pragma once
// The options of compare() and run_ablations(); see core/options.h.
#include "stamp/io/model_files.h"
#include "stamp/pipelines/ablations.h"
#include "stamp/pipelines/compare.h"
#include "stamp/pipelines/options/values.h"

namespace stamp {

/// All but the widths, which have several spellings.
template <class Visitor>
void visit_options(CompareOptions& o, Visitor&& visit) {
  visit.argument("model", o.model, "Hugging Face directory, or GGUF file");
  visit("text", o.text, "text to score");
  visit("calibration", o.calibration,
        "calibration text, never the scored one (default: MODEL/calibration.txt)");
  visit("cache", o.cache,
        "folder that keeps learned transforms and finished windows (of images: calibrations and "
        "finished rows), so that an interrupted run continues");
  visit("feature", o.features, "feature transforms");
  visit("sequence", o.sequences, "sequence transforms; none: no L");
  visit("plan", o.plans, "bit plans");
  visit("recipes", o.recipes,
        "presets or recipe files to measure instead of the grid; the first is the baseline");
  visit("high_tokens", o.high_tokens, "rows at 8 bits in two_level");
  visit("center", o.center, "static centering of linear inputs");
  visit("context", o.context, "tokens per window");
  visit("windows", o.max_windows, "at most so many windows; 0: all");
  visit("bos", bos_values(o.bos_every_window), "which windows start with BOS");
  visit("execution", execution_values(o.execution),
        "quantized products on integers where the recipe allows, or simulated in fp32");
  visit("site", o.report_site, "input drawn in the report (layers.N.attn_in, ...)");
}

template <class Visitor>
void visit_options(AblationOptions& o, Visitor&& visit) {
  visit.argument("model", o.model, "Hugging Face directory, or GGUF file");
  visit("text", o.text, "text to score (default: MODEL/heldout.txt)");
  visit("calibration", o.calibration, "calibration text (default: MODEL/calibration.txt)");
  visit("feature", o.feature, "feature transform");
  visit("bits", o.bits, "of linear inputs, where that is not what varies");
  visit("context", o.context, "tokens per window, where that is not what varies");
  visit("windows", o.max_windows, "at most so many windows; 0: all");
  visit("bos", bos_values(o.bos_every_window), "which windows start with BOS");
  visit("timed_runs", o.timed_runs, "of the overhead");
}
inline void complete_options(AblationOptions& o) {
  if (o.text.empty()) o.text = model_folder(o.model) / "heldout.txt";
}

}  // namespace stamp
