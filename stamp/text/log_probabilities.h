#pragma once
// Probabilities that logits stand for.
#include <cstdint>
#include <span>
#include <vector>

namespace stamp {

struct TokenLogProbability {
  int32_t id = 0;
  float value = 0;  // natural logarithm
};

/// log softmax of logits, which must live as long.
class LogProbabilities {
 public:
  /// Throws std::invalid_argument when there are no logits. NaN among them gives NaN.
  explicit LogProbabilities(std::span<const float> logits);
  /// `id` must be in the vocabulary.
  float of(int32_t id) const { return logits_[static_cast<size_t>(id)] - offset_; }
  /// The `count` likeliest tokens, or all, the likeliest first; of equal ones the smaller id.
  std::vector<TokenLogProbability> top(int64_t count) const;

 private:
  std::span<const float> logits_;
  float offset_ = 0;
};

}  // namespace stamp
