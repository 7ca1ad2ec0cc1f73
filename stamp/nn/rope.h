#pragma once
// Rotary position embedding, half-split pairs (j, j + head_dim/2), as Hugging Face's checkpoints expect.
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/io/hf_config.h"

namespace stamp {

/// inv_freq[j] = theta^(-2j/head_dim), j < head_dim/2, in fp32, with the Llama-3 scaling where given.
std::vector<float> rope_inverse_frequencies(int64_t head_dim, double theta,
                                            const std::optional<RopeScaling>& scaling);
/// Rotates x [tokens, heads * head_dim] in place; row i stands at absolute position `position + i`.
void apply_rope(FloatView x, int64_t head_dim, std::span<const float> inverse_frequencies,
                int64_t position);

}  // namespace stamp
