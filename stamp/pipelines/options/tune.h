#pragma once
// The options of tune(); see core/options.h.
#include <system_error>

#include "stamp/io/model_files.h"
#include "stamp/pipelines/options/values.h"
#include "stamp/pipelines/tune.h"

namespace stamp {

template <class Visitor>
void visit_options(TuneOptions& o, Visitor&& visit) {
  visit.argument("model", o.model, "Hugging Face directory, or GGUF file");
  visit("average_bits", o.average_bits, "data bits per element of the linear inputs");
  visit("max_kl", o.max_kl, "the fewest bits with at most this KL instead");
  visit("recipe", o.start,
        "preset or JSON file: what is not searched (weights, widths of K and V, lm_head)");
  visit("feature", o.features, "feature transforms to try");
  visit("sequence", o.transforms, "sequence transforms to try");
  visit("calibration", o.calibration, "text searched on (default: MODEL/calibration.txt)");
  visit("text", o.text,
        "held-out text, never searched on (default: MODEL/heldout.txt, if there is one)");
  visit("rivals", o.rivals,
        "recipes measured beside the result (default: presets of the same weights and as narrow "
        "activations)");
  visit("context", o.context, "tokens per window");
  visit("windows", o.search_windows, "windows searched on");
  visit("held_out_windows", o.evidence_windows, "of --text; 0: all");
  visit("bos", bos_values(o.bos_every_window), "which windows start with BOS");
  visit("seconds", o.seconds, "ends the search after so long; 0: when done");
  visit("seed", o.seed, "order in which changes are tried");
  visit("out", o.out, "the best recipe so far; its evidence beside it");
  visit("state", o.state, "finished evaluations: to go on after an interruption");
}
template <>
inline TuneOptions default_options() {
  TuneOptions options;
  options.start = load_recipe("w4a4kv4-stamp-wf");
  return options;
}
inline void complete_options(TuneOptions& o) {
  std::error_code ignored;
  if (o.text.empty() && std::filesystem::exists(model_folder(o.model) / "heldout.txt", ignored))
    o.text = model_folder(o.model) / "heldout.txt";
}

}  // namespace stamp
