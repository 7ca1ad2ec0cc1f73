#pragma once
// Choosing the next token from logits.
#include <cstdint>
#include <span>
#include <vector>

#include "stamp/core/rng.h"

namespace stamp {

struct SamplingOptions {
  double temperature = 0.0;         // 0: greedy; else > 0
  int64_t top_k = 0;                // 0: off
  double top_p = 1.0;               // (0, 1]
  double repetition_penalty = 1.0;  // > 0; applies to greedy too
};

/// Picks a token from `logits` (modified in place). Order as in transformers: repetition penalty
/// for every id in `seen` (prompt and output; logit < 0 ? logit * p : logit / p, once per distinct
/// id), temperature, top-k, top-p, softmax, draw. Greedy takes the smallest index among the largest
/// logits. Throws std::invalid_argument for options out of range or empty logits.
int32_t sample_token(std::span<float> logits, std::span<const int32_t> seen,
                     const SamplingOptions& options, Rng& rng);

}  // namespace stamp
