#include "stamp/pipelines/synthetic_model.h"

#include "stamp/core/error.h"
#include "stamp/models/weights.h"
#include "stamp/pipelines/synthetic_file.h"

namespace stamp {
namespace {

void add_layer(SyntheticFile& plan, const LlmConfig& config, const Recipe& recipe, int64_t index) {
  const std::string prefix = fmt::format("model.layers.{}.", index);
  for (const LinearGroup& group : linear_groups(config)) {
    const WeightSpec spec = stores_group(recipe, index, group) ? recipe.weights : WeightSpec{};
    for (const WeightRequest& request : group.weights) {
      plan.add_weight(prefix + request.name, spec, request.out_dim, request.in_dim);
      if (request.bias) plan.add_vector(prefix + request.name + ".bias", request.out_dim, 0.01f);
    }
  }
  plan.add_vector(prefix + "input_layernorm.weight", config.hidden_size, 1);
  plan.add_vector(prefix + "post_attention_layernorm.weight", config.hidden_size, 1);
}

}  // namespace

void write_synthetic_model(const Json& config, const Recipe& recipe,
                           const std::filesystem::path& directory) {
  if (recipe.needs_calibration() || recipe.needs_weight_calibration())
    throw_argument("recipe '{}' needs calibration, which random weights cannot have", recipe.name);
  Json stored = config;
  if (!recipe.is_plain())
    stored["quantization_config"] = {{"quant_method", "stamp"}, {"recipe", to_json(recipe)}};
  if (recipe.lm_head.bits < 16 || recipe.embedding_bits < 16)
    stored["tie_word_embeddings"] = false;  // one table cannot have both forms
  write_file_atomically(directory / "config.json", stored.dump(1) + "\n");
  const LlmConfig parsed = read_llm_config(directory);
  SyntheticFile plan;
  for (int64_t i = 0; i < parsed.layers; ++i) add_layer(plan, parsed, recipe, i);
  const int64_t vocab = parsed.vocab_size, hidden = parsed.hidden_size;
  plan.add_weight("model.embed_tokens", {.bits = recipe.embedding_bits}, vocab, hidden);
  if (!parsed.tie_word_embeddings) plan.add_weight("lm_head", recipe.lm_head, vocab, hidden);
  plan.add_vector("model.norm.weight", hidden, 1);
  plan.write(directory / "model.safetensors");
}

}  // namespace stamp
