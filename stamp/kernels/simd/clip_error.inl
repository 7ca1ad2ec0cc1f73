// The clip search's error measure, lane by lane as the specification has it (scalar/clip_error.h).
#include <cstdint>

namespace stamp {
namespace {

inline Vec power_2_4(Vec u) {
  const Vec s = u * u + broadcast(1e-30f);
  const Vec bits = to_float(as_int(s));
  Vec y = as_float(truncate_to_int(broadcast(1277923840.0f) - bits * broadcast(0.2f)));
  Vec y2 = y * y;
  const Vec h = broadcast(1.0f) - s * (y2 * y2 * y);
  y = y + y * (h * (broadcast(0.2f) + h * broadcast(0.12f)));
  y2 = y * y;
  y = y * (broadcast(1.2f) - broadcast(0.2f) * (s * (y2 * y2 * y)));
  y2 = y * y;
  return s * s * (y2 * y2);
}

inline Vec rounding_error_2_4(Vec x, Vec inverse_scale, Vec low, Vec high) {
  const Vec u = x * inverse_scale, round = broadcast(12582912.0f);
  const Vec code = min(max(u, low), high);
  return power_2_4(u - ((code + round) - round));
}

float clip_error(const float* x, int64_t n, float inverse_scale, float low, float high) noexcept {
  constexpr int64_t kLanes = 16, kParts = kLanes / kWidth;
  const Vec factor = broadcast(inverse_scale), bottom = broadcast(low), top = broadcast(high);
  Vec sums[kParts];
  for (Vec& part : sums) part = zero();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t p = 0; p < kParts; ++p)
      sums[p] = sums[p] + rounding_error_2_4(load(x + i + p * kWidth), factor, bottom, top);
  for (int64_t p = 0; i < n; i += kWidth, ++p) {
    const int64_t rest = n - i;
    const Vec part = rest < kWidth ? load(x + i, rest) : load(x + i);
    const Vec error = rounding_error_2_4(part, factor, bottom, top);
    sums[p] = sums[p] + (rest < kWidth ? select(rest, error, zero()) : error);
  }
  float lanes[kLanes];
  for (int64_t p = 0; p < kParts; ++p) store(lanes + p * kWidth, sums[p]);
  for (int64_t width = kLanes / 2; width > 0; width /= 2)
    for (int64_t lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  return lanes[0];
}

}  // namespace
}  // namespace stamp
