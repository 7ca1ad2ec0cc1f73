#pragma once
// Rotary position embedding, half-split pairs (j, j + head_dim/2), as Hugging Face's checkpoints
// expect.
#include <optional>
#include <span>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/io/hf_config.h"
#include "stamp/quant/token_rows.h"

namespace stamp {

/// inv_freq[j] = theta^(-2j/head_dim), j < head_dim/2, in fp32, with the Llama-3 scaling where
/// given.
std::vector<float> rope_inverse_frequencies(int64_t head_dim, double theta,
                                            const std::optional<RopeScaling>& scaling);

/// cos and sin of position * inv_freq[j], [tokens, head_dim/2]; shared by q and k of all layers.
struct RopeTable {
  Matrix cosine, sine;
};
/// Of `tokens` rows, each at its absolute position in its sequence.
RopeTable make_rope_table(std::span<const float> inverse_frequencies, TokenRows rows,
                          int64_t tokens);
/// Rotates x [tokens, heads * head_dim] in place, on all threads. Throws std::invalid_argument when
/// x and table do not fit.
void apply_rope(FloatView x, const RopeTable& table);

}  // namespace stamp
