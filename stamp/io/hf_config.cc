#include "stamp/io/hf_config.h"

#include <algorithm>

#include "stamp/io/config_reader.h"
#include "stamp/io/model_files.h"
#include "stamp/io/packed_linears.h"

namespace stamp {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 20;
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxToken = kMaxSize - 1;

std::string read_architecture(const ConfigReader& config) {
  const Json* names = config.find("architectures");
  if (names == nullptr || !names->is_array() || names->empty() || !(*names)[0].is_string())
    config.reject("architectures", "expected a list with the name of a model class");
  return (*names)[0].get<std::string>();
}

void read_sizes(const ConfigReader& config, LlmConfig& result) {
  const auto size = [&](const char* key, int64_t highest = kMaxSize) {
    return config.required(config.integer(key, 1, highest), key);
  };
  result.vocab_size = size("vocab_size");
  result.hidden_size = size("hidden_size");
  result.intermediate_size = size("intermediate_size");
  result.layers = size("num_hidden_layers", kMaxLayers);
  result.heads = size("num_attention_heads");
  result.max_positions = size("max_position_embeddings");
  result.kv_heads = config.integer("num_key_value_heads", 1, kMaxSize).value_or(result.heads);
  if (result.heads % result.kv_heads != 0)
    config.reject("num_key_value_heads",
                  fmt::format("expected a divisor of num_attention_heads {}", result.heads));
  const auto head_dim = config.integer("head_dim", 2, kMaxSize);
  if (!head_dim && result.hidden_size % result.heads != 0)
    config.reject("hidden_size", fmt::format("expected a multiple of num_attention_heads {} when "
                                             "head_dim is absent",
                                             result.heads));
  result.head_dim = head_dim.value_or(result.hidden_size / result.heads);
  if (result.head_dim % 2 != 0)
    config.reject("head_dim", fmt::format("expected an even size, got {}", result.head_dim));
}

void read_rope_level(const ConfigReader& level, LlmConfig& result) {
  result.rope_theta = level.number("rope_theta", 1.0, 1e15).value_or(result.rope_theta);
  if (level.number("partial_rotary_factor", -1e9, 1e9).value_or(1.0) != 1.0)
    level.reject("partial_rotary_factor", "supported is 1");
}

/// `rope_parameters` holds everything; older files have `rope_theta` and `rope_scaling`.
void read_rope(const ConfigReader& config, LlmConfig& result) {
  read_rope_level(config, result);
  const bool current = config.find("rope_parameters") != nullptr;
  const auto rope = config.object(current ? "rope_parameters" : "rope_scaling");
  if (!rope) return;
  read_rope_level(*rope, result);
  result.rope_scaling = read_rope_scaling(*rope, result.rope_theta, result.max_positions);
  if (!result.rope_scaling || result.rope_scaling->type != RopeScaling::Type::kYarn) return;
  const RopeScaling& yarn = *result.rope_scaling;
  const double stretched = yarn.factor * static_cast<double>(yarn.original_max_position_embeddings);
  result.max_positions =
      std::max(result.max_positions, static_cast<int64_t>(std::min(stretched, double{kMaxSize})));
}

void reject_sliding_windows(const ConfigReader& config, const LlmConfig& result) {
  // Qwen2 has a switch, off by default; elsewhere a window that is given is in use.
  const bool in_use = config.boolean("use_sliding_window")
                          .value_or(result.architecture != "Qwen2ForCausalLM" &&
                                    config.find("sliding_window") != nullptr);
  if (in_use) config.reject("sliding_window", "sliding windows are unsupported");
  const Json* layer_types = config.find("layer_types");
  if (layer_types == nullptr) return;
  if (!layer_types->is_array() ||
      std::any_of(layer_types->begin(), layer_types->end(),
                  [](const Json& type) { return type != "full_attention"; }))
    config.reject("layer_types", "supported is \"full_attention\" in every layer");
}

void read_flags(const ConfigReader& config, LlmConfig& result) {
  if (const auto quantization = config.object("quantization_config")) {
    result.quant_method =
        quantization->required(quantization->text("quant_method"), "quant_method");
    if (result.quant_method != "stamp" && !is_packed_method(result.quant_method))
      quantization->reject("quant_method",
                           R"(supported are "stamp", "compressed-tensors", "gptq" and "awq")");
  }
  if (config.text("hidden_act").value_or("silu") != "silu")
    config.reject("hidden_act", "supported is \"silu\"");
  result.rms_norm_eps = config.number("rms_norm_eps", 0.0, 1.0).value_or(result.rms_norm_eps);
  result.tie_word_embeddings = config.boolean("tie_word_embeddings").value_or(false);
  result.attention_bias = config.boolean("attention_bias").value_or(false);
  result.mlp_bias = config.boolean("mlp_bias").value_or(false);
}

void read_special_tokens(const ConfigReader& config, LlmConfig& result) {
  result.bos_token_id = config.integer("bos_token_id", 0, kMaxToken);
  result.eos_token_ids =
      config.integers("eos_token_id", 0, kMaxToken).value_or(std::vector<int64_t>{});
}

/// Ways of generating that are not implemented, with the values that switch them off.
void reject_other_generation(const ConfigReader& generation) {
  const std::pair<const char*, double> kNeutral[] = {
      {"num_beams", 1},     {"num_beam_groups", 1},      {"min_p", 0},          {"typical_p", 1},
      {"penalty_alpha", 0}, {"no_repeat_ngram_size", 0}, {"epsilon_cutoff", 0}, {"eta_cutoff", 0}};
  for (const auto& [key, neutral] : kNeutral)
    if (generation.number(key, -1e9, 1e9).value_or(neutral) != neutral)
      generation.reject(key, fmt::format("supported is {}", neutral));
}

}  // namespace

LlmConfig read_llm_config(const std::filesystem::path& model) {
  const Json json = read_model_json(model, "config.json");
  return read_llm_config(ConfigReader(json, (model / "config.json").string()));
}

LlmConfig read_llm_config(const ConfigReader& config) {
  LlmConfig result;
  result.architecture = read_architecture(config);
  read_sizes(config, result);
  read_rope(config, result);
  reject_sliding_windows(config, result);
  read_flags(config, result);
  read_special_tokens(config, result);
  return result;
}

GenerationConfig read_generation_config(const std::filesystem::path& model,
                                        const LlmConfig& config) {
  const std::string name = "generation_config.json";
  if (!has_model_json(model, name)) return {.eos_token_ids = config.eos_token_ids};
  const Json json = read_model_json(model, name);
  return read_generation_config(ConfigReader(json, (model / name).string()), config);
}

GenerationConfig read_generation_config(const ConfigReader& generation, const LlmConfig& config) {
  GenerationConfig result{.eos_token_ids = config.eos_token_ids};
  reject_other_generation(generation);
  result.do_sample = generation.boolean("do_sample").value_or(false);
  result.temperature = generation.number("temperature", 0.0, 1e6).value_or(1.0);
  result.top_p = generation.number("top_p", 0.0, 1.0).value_or(1.0);
  if (result.top_p == 0.0) generation.reject("top_p", "expected a number in (0, 1]");
  result.repetition_penalty = generation.number("repetition_penalty", 1e-3, 1e6).value_or(1.0);
  // transformers samples among 50 when the file leaves top_k open.
  result.top_k = generation.integer("top_k", 0, kMaxSize).value_or(result.do_sample ? 50 : 0);
  if (const auto eos = generation.integers("eos_token_id", 0, kMaxToken))
    result.eos_token_ids = *eos;
  return result;
}

}  // namespace stamp
