#pragma once
// The specification of the clip search's error measure.
#include <bit>
#include <cstdint>

namespace stamp {
namespace {

/// |u|^2.4 for |u| < 2^30, relative error below 2e-6; below 1e-36 for u = 0. With s = u^2 it is s^2
/// y^4 for y = s^-0.2, first guessed by dividing the exponent by -5, then a cubic and a quadratic
/// Newton step: no division, no branch.
inline float power_2_4(float u) {
  const float s = u * u + 1e-30f;
  const auto bits = static_cast<float>(std::bit_cast<int32_t>(s));
  float y = std::bit_cast<float>(static_cast<int32_t>(1277923840.0f - bits * 0.2f));
  float y2 = y * y;
  const float h = 1.0f - s * (y2 * y2 * y);
  y = y + y * (h * (0.2f + h * 0.12f));
  y2 = y * y;
  y = y * (1.2f - 0.2f * (s * (y2 * y2 * y)));
  y2 = y * y;
  return s * s * (y2 * y2);
}

/// |u - c|^2.4 for u = x * inverse_scale and the nearest code c.
inline float rounding_error_2_4(float x, float inverse_scale, float low, float high) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to even
  const float u = x * inverse_scale;
  float code = u > low ? u : low;
  code = code < high ? code : high;
  return power_2_4(u - ((code + kRound) - kRound));
}

inline float clip_error(const float* x, int64_t n, float inverse_scale, float low,
                        float high) noexcept {
  constexpr int kLanes = 16;
  float sums[kLanes] = {};
  for (; n >= kLanes; n -= kLanes, x += kLanes) {
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane)
      sums[lane] += rounding_error_2_4(x[lane], inverse_scale, low, high);
  }
  for (int lane = 0; lane < n; ++lane)
    sums[lane] += rounding_error_2_4(x[lane], inverse_scale, low, high);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  return sums[0];
}

}  // namespace
}  // namespace stamp
