#pragma once
// The specification of the Haar lifting and of the Walsh transform.
#include <algorithm>
#include <cstdint>

namespace stamp {
namespace {

constexpr float kHalfSqrt2 = 0.70710678118654752440f;

inline void haar_lift(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows,
                      int64_t cols, int levels) noexcept {
  if (x != y)
    for (int64_t i = 0; i < rows; ++i) std::copy_n(x + i * ldx, cols, y + i * ldy);
  int64_t step = 1;
  for (int level = 0; level < levels && step < rows; ++level, step *= 2)
    for (int64_t i = 0; i + step < rows; i += 2 * step)
      for (int64_t c = 0; c < cols; ++c) {
        float &left = y[i * ldy + c], &right = y[(i + step) * ldy + c];
        const float a = left, b = right;
        left = (a + b) * kHalfSqrt2;
        right = (a - b) * kHalfSqrt2;
      }
}

inline void haar_unlift(float* x, int64_t ldx, int64_t rows, int64_t cols, int levels) noexcept {
  for (int level = levels - 1; level >= 0; --level) {
    const int64_t step = int64_t{1} << level;
    for (int64_t i = 0; i + step < rows; i += 2 * step)
      for (int64_t c = 0; c < cols; ++c) {
        float &left = x[i * ldx + c], &right = x[(i + step) * ldx + c];
        const float a = left, d = right;
        left = (a + d) * kHalfSqrt2;
        right = (a - d) * kHalfSqrt2;
      }
  }
}

inline void walsh(const float* x, float* y, int64_t n, float scale) noexcept {
  if (x != y) std::copy_n(x, n, y);
  for (int64_t half = 1; half < n; half *= 2)
    for (int64_t first = 0; first < n; first += 2 * half)
      for (int64_t i = first; i < first + half; ++i) {
        const float a = y[i], b = y[i + half];
        y[i] = a + b;
        y[i + half] = a - b;
      }
  for (int64_t i = 0; i < n; ++i) y[i] *= scale;
}

}  // namespace
}  // namespace stamp
