#pragma once
// The keys of RoPE's scaling in config.json: `rope_scaling`, or `rope_parameters` in newer files.
#include <cstdint>
#include <optional>

#include "stamp/io/config_reader.h"

namespace stamp {

/// How RoPE's frequencies are changed for contexts longer than those of training, as
/// transformers' modeling_rope_utils does; the formulas are in nn/rope.h.
struct RopeScaling {
  enum class Type { kLinear, kLlama3, kYarn };
  Type type = Type::kLlama3;
  double factor = 1.0;
  int64_t original_max_position_embeddings = 8192;       // of training; Llama 3 and YaRN
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // Llama 3
  double beta_fast = 32.0, beta_slow = 1.0;              // YaRN: rotations in the training context
  bool truncate = true;                                  // YaRN: the ramp has whole ends
  double attention_factor = 1.0;                         // YaRN: cos and sin are multiplied by it
};

/// Of a model with RoPE base `theta` and `positions` positions. Nothing for the type "default".
/// YaRN as in transformers: without `factor` it is positions / original_max_position_embeddings,
/// without `original_max_position_embeddings` that is `positions`; a beta of 0 is its default;
/// `attention_factor` unless given is m(mscale) / m(mscale_all_dim) when both are there and not 0,
/// else m(1), m(s) = 0.1 s ln(factor) + 1 (1 where factor <= 1). Throws std::runtime_error naming
/// file, key and value for other types and for values missing or outside their ranges.
std::optional<RopeScaling> read_rope_scaling(const ConfigReader& rope, double theta,
                                             int64_t positions);

}  // namespace stamp
