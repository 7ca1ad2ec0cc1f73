// Rows of 64 scores. Included once per instruction set, after elementwise.inl.
#include <cstdint>

namespace stamp {
namespace {

void scale_f16(const uint16_t* x, const float* factor, float* y, int64_t n) noexcept {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, widen_f16(x + i) * load(factor + i));
  if (const int64_t rest = n - i; rest > 0)
    store(y + i, Load16<widen_f16>::part(x + i, rest) * load(factor + i, rest), rest);
}

/// 2^t for t <= 0, never below 2^-126; relative error 3e-7. 2^t = 2^n 2^r with |r| <= 1/2, where
/// the polynomial goes through 2^r at the Chebyshev points.
inline Vec exp2_negative(Vec t) {
  t = max(broadcast(-126.0f), t);
  const IntVec n = round_to_int(t);
  const Vec r = t - to_float(n);
  Vec p = broadcast(1.33908634e-3f);
  p = fma(p, r, broadcast(9.67603192e-3f));
  p = fma(p, r, broadcast(5.55035711e-2f));
  p = fma(p, r, broadcast(2.40221075e-1f));
  p = fma(p, r, broadcast(6.93147188e-1f));
  p = fma(p, r, broadcast(1.00000008f));
  return p * power_of_two(n);
}

constexpr float kLog2E = 1.44269504f;
constexpr int64_t kScores = 64;

/// One row: its exponentials relative to the new peak. Peaks rarely rise, so that they are searched
/// for only where a lane says so.
inline Vec softmax_row(float* scores, float& peak, float& rise, float scale) {
  constexpr int64_t kVectors = kScores / kWidth;
  Vec x[kVectors];
  for (int64_t v = 0; v < kVectors; ++v) x[v] = load(scores + v * kWidth);
  Vec best = x[0];
  for (int64_t v = 1; v < kVectors; ++v) best = max(best, x[v]);
  if (any_greater(best, broadcast(peak))) {
    const float larger = largest(best);
    rise = scale * (peak - larger);
    peak = larger;
  }
  const Vec factor = broadcast(scale * kLog2E), top = broadcast(peak);
  Vec total = zero();
  for (int64_t v = 0; v < kVectors; ++v) {
    const Vec y = exp2_negative((x[v] - top) * factor);
    store(scores + v * kWidth, y);
    total = total + y;
  }
  return total;
}

/// Rows in fours: one sum for four rows costs little more than one.
inline void softmax_rows(float* scores, float* peak, float* row_sum, float* rise, float scale,
                         int64_t m) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4) {
    float* row = scores + i * kScores;
    const Vec a = softmax_row(row, peak[i], rise[i], scale);
    const Vec b = softmax_row(row + kScores, peak[i + 1], rise[i + 1], scale);
    const Vec c = softmax_row(row + 2 * kScores, peak[i + 2], rise[i + 2], scale);
    const Vec d = softmax_row(row + 3 * kScores, peak[i + 3], rise[i + 3], scale);
    store_sums(row_sum + i, a, b, c, d);
  }
  for (; i < m; ++i) row_sum[i] = sum(softmax_row(scores + i * kScores, peak[i], rise[i], scale));
}

void running_softmax(float* scores, float* peak, float* sum, float* shrink, float scale,
                     int64_t m) noexcept {
  for (int64_t first = 0; first < m; first += kWidth) {
    const int64_t count = m - first < kWidth ? m - first : kWidth;
    float row_sum[kWidth] = {}, rise[kWidth] = {};
    softmax_rows(scores + kScores * first, peak + first, row_sum, rise, scale, count);
    const Vec factor = exp_vec(load(rise));
    store(shrink + first, factor, count);
    store(sum + first, fma(load(sum + first, count), factor, load(row_sum)), count);
  }
}

}  // namespace
}  // namespace stamp
