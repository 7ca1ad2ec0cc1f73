#pragma once
// The specification of rows to grids.
#include <cstdint>

namespace stamp {
namespace {

inline void min_max(const float* x, int64_t n, float* low, float* high) noexcept {
  float smallest = 0, largest = 0;
  for (int64_t i = 0; i < n; ++i) {
    smallest = x[i] < smallest ? x[i] : smallest;
    largest = x[i] > largest ? x[i] : largest;
  }
  *low = smallest;
  *high = largest;
}

/// NaN becomes `low`. The bounds are integers, so clamping before rounding changes nothing.
inline float round_to_grid(float x, float inverse, float low, float high) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer, ties to even
  float code = x * inverse;
  code = code > low ? code : low;
  code = code < high ? code : high;
  return (code + kRound) - kRound;
}

inline int32_t quantize_s8(const float* x, int8_t* codes, int64_t n, float inverse, float low,
                           float high, int32_t offset) noexcept {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t code = static_cast<int32_t>(round_to_grid(x[i], inverse, low, high)) + offset;
    codes[i] = static_cast<int8_t>(code);
    sum += code;
  }
  return sum;
}

inline void snap_to_grid(float* x, int64_t n, float scale, float inverse, float low,
                         float high) noexcept {
  for (int64_t i = 0; i < n; ++i) x[i] = round_to_grid(x[i], inverse, low, high) * scale;
}

}  // namespace
}  // namespace stamp
