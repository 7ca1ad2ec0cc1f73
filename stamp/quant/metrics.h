#pragma once
// Figures of merit.
#include <cstdint>
#include <span>
#include <vector>

#include "stamp/core/tensor.h"

namespace stamp {

/// Signal and noise energy; db() = 10 log10(signal / noise), +infinity without noise.
struct Sqnr {
  double signal = 0, noise = 0;
  void add(ConstFloatView reference, ConstFloatView approximation);
  double db() const;
};

/// Comparison of two rows of logits for one predicted token.
struct TokenScore {
  float nll;  // -log p(target) of the approximation, nats
  float nll_reference;
  float kl;  // KL(reference || approximation), nats
  bool same_top1;
};
/// Exponentials in fp32 (relative error <= 4e-7), sums in fp64. `target` < 0: nll fields are NaN.
TokenScore score_token(std::span<const float> reference, std::span<const float> approximation,
                       int64_t target);

/// Value below which a fraction q of `values` lies (linear interpolation); values are reordered.
double quantile(std::span<float> values, double q);

struct Interval {
  double low, high;
};
/// Paired bootstrap 95 % interval of the mean of `differences` (one entry per window), 10,000
/// resamples.
Interval bootstrap_mean(std::span<const double> differences, uint64_t seed = 0);

}  // namespace stamp
