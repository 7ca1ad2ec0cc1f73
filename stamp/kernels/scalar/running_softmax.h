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

inline void softmax_columns(int32_t* acc, int64_t m, const float* row_scale,
                            const float* row_offset, const float* column_scale, uint8_t* codes,
                            float* peak, float* sum, float* shrink, float* weight) noexcept {
  constexpr float kTop = 255.0f;
  for (int j = 0; j < 64; ++j) {
    const auto score = [&](int64_t i) {
      return row_scale[i] * static_cast<float>(acc[64 * i + j]) + row_offset[i];
    };
    float top = score(0), total = 0;
    for (int64_t i = 1; i < m; ++i) top = std::max(top, score(i));
    for (int64_t i = 0; i < (m + 3) / 4 * 4; ++i) {
      const float p = i < m ? kTop * std::exp(column_scale[j] * (score(i) - top)) : 0.0f;
      codes[i / 4 * 256 + 4 * j + i % 4] = static_cast<uint8_t>(std::nearbyint(p));
      total += std::nearbyint(p);
    }
    top *= column_scale[j];
    const float old = peak[j];
    peak[j] = std::max(old, top);
    shrink[j] = std::exp(old - peak[j]);
    weight[j] = std::exp(top - peak[j]);
    sum[j] = sum[j] * shrink[j] + weight[j] * total;
  }
}

inline void add_columns(const int32_t* acc, int64_t m, const float* row_scale, const float* shrink,
                        const float* weight, float* out) noexcept {
  for (int64_t i = 0; i < m; ++i, acc += 64, out += 64)
    for (int j = 0; j < 64; ++j)
      out[j] = shrink[j] * out[j] + weight[j] * row_scale[i] * static_cast<float>(acc[j]);
}

}  // namespace
}  // namespace stamp
