#pragma once
// The options of evaluate() and evaluate_tasks(); see core/options.h.
#include "stamp/pipelines/evaluate.h"
#include "stamp/pipelines/options/values.h"
#include "stamp/pipelines/tasks.h"

namespace stamp {

template <class Visitor>
void visit_options(EvaluateOptions& o, Visitor&& visit) {
  visit.argument("model", o.model, "Hugging Face directory, or GGUF file");
  visit("text", o.text, "text to score");
  visit("recipe", o.recipe,
        "preset name or JSON file (see 'stamp recipe'; default: that of stored weights, or bf16)");
  visit("reference_model", o.reference_model,
        "plain model to compare with, when MODEL has stored weights");
  visit("calibration", o.calibration,
        "calibration text, never the scored one (default: MODEL/calibration.txt)");
  visit("cache", o.cache,
        "folder that keeps learned transforms and finished windows, so that an interrupted run "
        "continues");
  visit("context", o.context, "tokens per window");
  visit("windows", o.max_windows, "at most so many windows; 0: all");
  visit("bos", bos_values(o.bos_every_window), "which windows start with BOS");
  visit("causal_positions", o.causal_positions,
        "positions scored for the exactly causal figure; 0: off");
  visit("sqnr_windows", o.sqnr_windows, "windows on which the SQNR of every linear is measured");
  visit("execution", execution_values(o.execution),
        "quantized products on integers where the recipe allows, or simulated in fp32");
  visit("compute", compute_values(o.compute), "arithmetic of the quantized model");
  visit(
      "split",
      named_values(o.split, {{"windows", ModelSplit::kNone},
                             {"tensor", ModelSplit::kTensor},
                             {"pipeline", ModelSplit::kPipeline}}),
      "what the processes of mpirun share: windows, or one model, its heads and channels (tensor) "
      "or its layers (pipeline)");
  visit("link_bits", o.link_bits, kLinkBitsHelp);
  visit("reference", compute_values(o.reference), "arithmetic of the reference model");
}
template <>
inline EvaluateOptions default_options() {
  return {.recipe = unnamed_recipe()};
}
inline void complete_options(EvaluateOptions& o) { complete_recipe(o.recipe, o.model); }

/// Those that evaluate() does not have as well.
template <class Visitor>
void visit_task_options(TaskOptions& o, Visitor&& visit) {
  visit("task", o.tasks,
        "multiple-choice questions (JSONL as ARC, HellaSwag, PIQA, Winogrande, or cloze) to answer "
        "instead; may be repeated");
  visit("limit", o.limit, "questions per task; 0: all");
}
template <class Visitor>
void visit_options(TaskOptions& o, Visitor&& visit) {
  visit.argument("model", o.model, "Hugging Face directory, or GGUF file");
  visit_task_options(o, visit);
  visit("recipe", o.recipe, "preset name or JSON file (default: that of stored weights, or bf16)");
  visit("calibration", o.calibration, "calibration text (default: MODEL/calibration.txt)");
  visit("context", o.context, "tokens of a calibration window, and the most of a question");
}
template <>
inline TaskOptions default_options() {
  return {.recipe = unnamed_recipe()};
}
inline void complete_options(TaskOptions& o) { complete_recipe(o.recipe, o.model); }

}  // namespace stamp
