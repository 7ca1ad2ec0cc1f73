#pragma once
// The options of models that write text; see core/options.h.
#include "stamp/pipelines/options/values.h"
#include "stamp/pipelines/prompt_cache.h"
#include "stamp/pipelines/text_model.h"

namespace stamp {

template <class Visitor>
void visit_options(TextModelOptions& o, Visitor&& visit) {
  visit.argument("model", o.model, "Hugging Face directory, or GGUF file");
  visit("recipe", o.recipe, "preset name or JSON file (default: that of stored weights, or bf16)");
  visit("calibration", o.calibration, "calibration text for recipes that need one");
  visit("execution", execution_values(o.execution),
        "quantized products on integers where the recipe allows, or simulated in fp32");
  visit("compute", compute_values(o.compute), "arithmetic: fp32 or bf16");
  visit_split_options(o, visit);
}
template <>
inline TextModelOptions default_options() {
  return {.recipe = unnamed_recipe()};
}
inline void complete_options(TextModelOptions& o) { complete_recipe(o.recipe, o.model); }

/// What the model's generation_config.json says where nothing is given (generate_defaults()).
template <class Visitor>
void visit_options(GenerateOptions& o, Visitor&& visit) {
  visit("max_new_tokens", o.max_new_tokens, "tokens at most");
  visit("temperature", o.sampling.temperature, "0: greedy");
  visit("top_k", o.sampling.top_k, "0: off");
  visit("top_p", o.sampling.top_p, "(0, 1]");
  visit("repetition_penalty", o.sampling.repetition_penalty, "1: off");
  visit("stop_id", o.stop_ids, "token ids that end generation");
  visit("seed", o.seed, "seed of the sampler");
}

template <class Visitor>
void visit_options(PromptCacheOptions& o, Visitor&& visit) {
  visit("load_cache", o.load_cache,
        "file of save_cache: what the prompt has in common with it is not computed");
  visit("save_cache", o.save_cache, "write the K/V cache of the prompt to this file");
}

}  // namespace stamp
