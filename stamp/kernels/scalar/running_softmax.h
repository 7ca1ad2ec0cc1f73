#pragma once
// The specification of the kernels around attention that need more than arithmetic.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "stamp/core/dtype.h"

namespace stamp {
namespace {

inline void scale_f16(const f16* x, const float* factor, float* y, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) y[i] = f16_to_f32(x[i]) * factor[i];
}

inline void running_softmax(float* scores, float* peak, float* sum, float* shrink, float scale,
                            int64_t m) noexcept {
  for (int64_t i = 0; i < m; ++i, scores += 64) {
    const float old = peak[i];
    for (int j = 0; j < 64; ++j) peak[i] = std::max(peak[i], scores[j]);
    shrink[i] = std::exp(scale * (old - peak[i]));
    sum[i] *= shrink[i];
    for (int j = 0; j < 64; ++j) {
      scores[j] = std::exp(scale * (scores[j] - peak[i]));
      sum[i] += scores[j];
    }
  }
}

}  // namespace
}  // namespace stamp
