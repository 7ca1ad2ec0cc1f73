#include "stamp/text/log_probabilities.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "stamp/core/error.h"

namespace stamp {

LogProbabilities::LogProbabilities(std::span<const float> logits) : logits_(logits) {
  if (logits.empty()) throw_argument("log probabilities: expected logits, got none");
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - largest));
  offset_ = largest + static_cast<float>(std::log(sum));
}

std::vector<TokenLogProbability> LogProbabilities::top(int64_t count) const {
  std::vector<int32_t> ids(logits_.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto kept = std::clamp<int64_t>(count, 0, std::ssize(ids));
  std::partial_sort(ids.begin(), ids.begin() + kept, ids.end(), [&](int32_t a, int32_t b) {
    const float x = logits_[static_cast<size_t>(a)], y = logits_[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  });
  std::vector<TokenLogProbability> result;
  for (int64_t i = 0; i < kept; ++i)
    result.push_back({ids[static_cast<size_t>(i)], of(ids[static_cast<size_t>(i)])});
  return result;
}

}  // namespace stamp
