#pragma once
// Rotary position embedding, half-split pairs (j, j + head_dim/2), as Hugging Face's checkpoints
// expect.
#include <optional>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/io/hf_config.h"
#include "stamp/quant/token_rows.h"

namespace stamp {

/// What a table of angles is made from.
struct RopeFrequencies {
  std::vector<float> inverse;     // [head_dim/2]: radians per position
  float attention_factor = 1.0f;  // of cos and sin
};

/// f_j = theta^(-2j/head_dim), j < head_dim/2, in fp32, and what `scaling` makes of it:
/// * linear: f_j / factor;
/// * Llama 3: f_j / factor for wavelengths above C / low_freq_factor, f_j below
///   C / high_freq_factor, interpolated between (C: original_max_position_embeddings);
/// * YaRN (arXiv 2309.00071): r_j f_j / factor + (1 - r_j) f_j with a ramp r_j from 0 to 1 between
///   the pairs that turn beta_fast and beta_slow times within C positions.
/// In transformers' order of operations, so that values agree to an ulp or so.
RopeFrequencies rope_frequencies(int64_t head_dim, double theta,
                                 const std::optional<RopeScaling>& scaling);
inline RopeFrequencies rope_frequencies(const LlmConfig& config) {
  return rope_frequencies(config.head_dim, config.rope_theta, config.rope_scaling);
}

/// attention_factor * cos and sin of position * inverse[j], [tokens, head_dim/2]; shared by q and k
/// of all layers.
struct RopeTable {
  Matrix cosine, sine;
};
/// Of `tokens` rows, each at its absolute position in its sequence.
RopeTable make_rope_table(const RopeFrequencies& frequencies, TokenRows rows, int64_t tokens);
/// Rotates (and scales by the attention factor) x [tokens, heads * head_dim] in place, on all
/// threads. Throws std::invalid_argument when x and table do not fit.
void apply_rope(FloatView x, const RopeTable& table);

}  // namespace stamp
