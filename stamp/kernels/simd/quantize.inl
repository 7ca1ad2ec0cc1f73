// Rows to grids. Needs lanes_<isa>.h.
#include <cstdint>

namespace stamp {
namespace {

void min_max(const float* x, int64_t n, float* low, float* high) noexcept {
  Vec low0 = zero(), low1 = zero(), low2 = zero(), low3 = zero();
  Vec high0 = zero(), high1 = zero(), high2 = zero(), high3 = zero();
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    const Vec a = load(x + i), b = load(x + i + kWidth);
    const Vec c = load(x + i + 2 * kWidth), d = load(x + i + 3 * kWidth);
    low0 = min(a, low0), low1 = min(b, low1), low2 = min(c, low2), low3 = min(d, low3);
    high0 = max(a, high0), high1 = max(b, high1), high2 = max(c, high2), high3 = max(d, high3);
  }
  for (; i < n; i += kWidth) {
    const Vec a = n - i < kWidth ? load(x + i, n - i) : load(x + i);
    low0 = min(a, low0), high0 = max(a, high0);
  }
  const Vec smallest = min(min(low0, low1), min(low2, low3));
  *low = 0.0f - largest(zero() - smallest);
  *high = largest(max(max(high0, high1), max(high2, high3)));
}

struct VecGrid {
  Vec inverse, low, high;
  IntVec code(Vec x) const { return round_to_int(min(max(x * inverse, low), high)); }
};

int32_t quantize_s8(const float* x, int8_t* codes, int64_t n, float inverse, float low, float high,
                    int32_t offset) noexcept {
  const VecGrid grid{broadcast(inverse), broadcast(low), broadcast(high)};
  const IntVec shift = broadcast_int(offset);
  IntVec sums = zero_int();
  int64_t i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    const IntVec a = add_32(grid.code(load(x + i)), shift);
    const IntVec b = add_32(grid.code(load(x + i + kWidth)), shift);
    const IntVec c = add_32(grid.code(load(x + i + 2 * kWidth)), shift);
    const IntVec d = add_32(grid.code(load(x + i + 3 * kWidth)), shift);
    sums = add_32(sums, add_32(add_32(a, b), add_32(c, d)));
    store_s8(codes + i, a, b, c, d);
  }
  int32_t lanes[kWidth], sum = 0;
  store_int(lanes, sums);
  for (const int32_t lane : lanes) sum += lane;
  for (; i < n; i += kWidth) {
    const int64_t count = n - i < kWidth ? n - i : kWidth;
    store_int(lanes, add_32(grid.code(count < kWidth ? load(x + i, count) : load(x + i)), shift));
    for (int64_t j = 0; j < count; ++j) {
      codes[i + j] = static_cast<int8_t>(lanes[j]);
      sum += lanes[j];
    }
  }
  return sum;
}

void snap_to_grid(float* x, int64_t n, float scale, float inverse, float low, float high) noexcept {
  const VecGrid grid{broadcast(inverse), broadcast(low), broadcast(high)};
  const Vec step = broadcast(scale);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(x + i, to_float(grid.code(load(x + i))) * step);
  if (i < n) store(x + i, to_float(grid.code(load(x + i, n - i))) * step, n - i);
}

}  // namespace
}  // namespace stamp
