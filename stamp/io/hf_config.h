#pragma once
// config.json and generation_config.json of decoder language models, in all spellings met so far.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "stamp/io/rope_scaling.h"

namespace stamp {

class ConfigReader;

struct LlmConfig {
  std::string architecture;  // architectures[0]
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  int64_t max_positions = 0;  // also those that YaRN adds
  double rms_norm_eps = 1e-6, rope_theta = 10000.0;
  std::optional<RopeScaling> rope_scaling;  // none for the type "default"
  bool tie_word_embeddings = false, attention_bias = false, mlp_bias = false;
  std::optional<int64_t> bos_token_id;
  std::vector<int64_t> eos_token_ids;
  std::string quant_method;  // of quantization_config: stamp, compressed-tensors, gptq, awq; empty
};

/// Reads DIR/config.json, or what a GGUF file says instead (model_files.h):
/// `rope_theta`/`rope_scaling` (also the older `rope_scaling.type`) or `rope_parameters`,
/// `eos_token_id` as number or list, absent or null `head_dim`. Under YaRN max_positions is at
/// least factor * original_max_position_embeddings (public configs keep the number of training).
/// Throws std::runtime_error naming file, key and value for missing or absurd sizes (all bounded by
/// 2^20, layers by 1024), heads not divisible by kv_heads, odd head_dim, unsupported `hidden_act`,
/// rope types, sliding windows in use, or a quantization_config of another method.
LlmConfig read_llm_config(const std::filesystem::path& model);
/// The same of a config.json that was read.
LlmConfig read_llm_config(const ConfigReader& config);

struct GenerationConfig {
  bool do_sample = false;
  double temperature = 1.0, top_p = 1.0, repetition_penalty = 1.0;
  int64_t top_k = 0;  // 0: off
  std::vector<int64_t> eos_token_ids;
};

/// Reads DIR/generation_config.json; without that file everything has its default and the stop ids
/// are those of `config`. A file that samples without naming top_k means 50, as in transformers.
/// Values outside their ranges and other ways of generating (beams, min_p, ...) throw
/// std::runtime_error.
GenerationConfig read_generation_config(const std::filesystem::path& model,
                                        const LlmConfig& config);
/// The same of a generation_config.json that was read.
GenerationConfig read_generation_config(const ConfigReader& generation, const LlmConfig& config);

}  // namespace stamp
