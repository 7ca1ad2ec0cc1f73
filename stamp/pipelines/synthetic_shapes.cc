// The shapes that random weights can take.
#include "stamp/core/error.h"
#include "stamp/pipelines/synthetic_model.h"

namespace stamp {
namespace {

struct ShapeRow {
  std::string_view name, architecture;
  int64_t hidden, intermediate, layers, heads, kv_heads, vocab, positions;
  bool tied;
  double rope_theta;
};
constexpr ShapeRow kShapes[] = {
    {"tiny", "LlamaForCausalLM", 64, 160, 2, 4, 2, 512, 4096, true, 10000},
    {"llama-3.2-1b", "LlamaForCausalLM", 2048, 8192, 16, 32, 8, 128256, 131072, true, 500000},
    {"llama-3.2-3b", "LlamaForCausalLM", 3072, 8192, 28, 24, 8, 128256, 131072, true, 500000},
    {"llama-3-8b", "LlamaForCausalLM", 4096, 14336, 32, 32, 8, 128256, 131072, false, 500000},
    {"qwen2.5-3b", "Qwen2ForCausalLM", 2048, 11008, 36, 16, 2, 151936, 32768, true, 1000000},
};

Json to_config(const ShapeRow& row) {
  return {{"architectures", {row.architecture}},
          {"hidden_size", row.hidden},
          {"intermediate_size", row.intermediate},
          {"num_hidden_layers", row.layers},
          {"num_attention_heads", row.heads},
          {"num_key_value_heads", row.kv_heads},
          {"vocab_size", row.vocab},
          {"max_position_embeddings", row.positions},
          {"rope_theta", row.rope_theta},
          {"rms_norm_eps", 1e-5},
          {"tie_word_embeddings", row.tied},
          {"hidden_act", "silu"}};
}

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const ShapeRow& row : kShapes) names.emplace_back(row.name);
  return names;
}

Json shape_config(const std::string& name_or_file) {
  for (const ShapeRow& row : kShapes)
    if (row.name == name_or_file) return to_config(row);
  std::error_code ignored;
  if (!std::filesystem::exists(name_or_file, ignored))
    throw_argument("shape: expected {} or a config.json, got '{}'", fmt::join(shape_names(), ", "),
                   name_or_file);
  return read_json(name_or_file);
}

}  // namespace stamp
