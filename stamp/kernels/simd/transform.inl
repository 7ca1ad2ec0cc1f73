// Haar along rows, a vector of columns at a time and depth first, so that only one approximation
// per level is alive. Needs a vector header.
#include <cstdint>

namespace stamp {
namespace {

constexpr float kHalfSqrt2 = 0.70710678118654752440f;
constexpr int kRunLevels = 5;           // 32 rows per descent
constexpr int64_t kStripColumns = 256;  // between descents the approximations stay in cache

/// Lifts 2^L rows, all but the last approximation, which is returned.
template <int L>
inline Vec lift(const float* x, int64_t ldx, float* y, int64_t ldy, Vec factor) {
  if constexpr (L == 0) {
    return load(x);
  } else {
    constexpr int64_t kHalf = int64_t{1} << (L - 1);
    const Vec a = lift<L - 1>(x, ldx, y, ldy, factor);
    const Vec b = lift<L - 1>(x + kHalf * ldx, ldx, y + kHalf * ldy, ldy, factor);
    store(y + kHalf * ldy, (a - b) * factor);
    return (a + b) * factor;
  }
}

/// The inverse, from the last approximation.
template <int L>
inline void unlift(float* x, int64_t ldx, Vec a, Vec factor) {
  if constexpr (L == 0) {
    store(x, a);
  } else {
    constexpr int64_t kHalf = int64_t{1} << (L - 1);
    const Vec d = load(x + kHalf * ldx);
    unlift<L - 1>(x, ldx, (a + d) * factor, factor);
    unlift<L - 1>(x + kHalf * ldx, ldx, (a - d) * factor, factor);
  }
}

template <int L>
void lift_runs(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows, int64_t cols) {
  const Vec factor = broadcast(kHalfSqrt2);
  for (int64_t i = 0; i < rows; i += int64_t{1} << L)
    for (int64_t c = 0; c < cols; c += kWidth)
      store(y + i * ldy + c, lift<L>(x + i * ldx + c, ldx, y + i * ldy + c, ldy, factor));
}

template <int L>
void unlift_runs(float* x, int64_t ldx, int64_t rows, int64_t cols) {
  const Vec factor = broadcast(kHalfSqrt2);
  for (int64_t i = 0; i < rows; i += int64_t{1} << L)
    for (int64_t c = 0; c < cols; c += kWidth)
      unlift<L>(x + i * ldx + c, ldx, load(x + i * ldx + c), factor);
}

constexpr void (*kLiftRuns[])(const float*, int64_t, float*, int64_t, int64_t, int64_t) = {
    lift_runs<0>, lift_runs<1>, lift_runs<2>, lift_runs<3>, lift_runs<4>, lift_runs<5>};
constexpr void (*kUnliftRuns[])(float*, int64_t, int64_t, int64_t) = {
    unlift_runs<0>, unlift_runs<1>, unlift_runs<2>, unlift_runs<3>, unlift_runs<4>, unlift_runs<5>};

/// (a + b, a - b) / sqrt 2 of two rows: its own inverse.
void butterfly(float* a, float* b, int64_t cols) {
  for (int64_t c = 0; c < cols; ++c) {
    const float left = a[c], right = b[c];
    a[c] = (left + right) * kHalfSqrt2;
    b[c] = (left - right) * kHalfSqrt2;
  }
}

/// As the specification; for what fills no run or no vector.
void lift_plain(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows, int64_t cols,
                int levels) {
  if (x != y)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t c = 0; c < cols; ++c) y[i * ldy + c] = x[i * ldx + c];
  for (int level = 0; level < levels && int64_t{1} << level < rows; ++level) {
    const int64_t step = int64_t{1} << level;
    for (int64_t i = 0; i + step < rows; i += 2 * step)
      butterfly(y + i * ldy, y + (i + step) * ldy, cols);
  }
}

void unlift_plain(float* x, int64_t ldx, int64_t rows, int64_t cols, int levels) {
  for (int level = levels - 1; level >= 0; --level) {
    const int64_t step = int64_t{1} << level;
    for (int64_t i = 0; i + step < rows; i += 2 * step)
      butterfly(x + i * ldx, x + (i + step) * ldx, cols);
  }
}

/// Whole vectors of columns.
void lift_strip(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows, int64_t cols,
                int levels) {
  const int low = levels < kRunLevels ? levels : kRunLevels;
  const int64_t run = int64_t{1} << low, whole = rows / run * run;
  kLiftRuns[low](x, ldx, y, ldy, whole, cols);
  if (whole < rows) lift_plain(x + whole * ldx, ldx, y + whole * ldy, ldy, rows - whole, cols, low);
  if (levels > low && rows > run)
    lift_strip(y, run * ldy, y, run * ldy, (rows + run - 1) / run, cols, levels - low);
}

void unlift_strip(float* x, int64_t ldx, int64_t rows, int64_t cols, int levels) {
  const int low = levels < kRunLevels ? levels : kRunLevels;
  const int64_t run = int64_t{1} << low, whole = rows / run * run;
  if (levels > low && rows > run)
    unlift_strip(x, run * ldx, (rows + run - 1) / run, cols, levels - low);
  kUnliftRuns[low](x, ldx, whole, cols);
  if (whole < rows) unlift_plain(x + whole * ldx, ldx, rows - whole, cols, low);
}

void haar_lift(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows, int64_t cols,
               int levels) noexcept {
  const int64_t whole = cols / kWidth * kWidth;
  const int64_t strip = levels > kRunLevels ? kStripColumns : whole;
  for (int64_t c = 0; c < whole; c += strip)
    lift_strip(x + c, ldx, y + c, ldy, rows, whole - c < strip ? whole - c : strip, levels);
  if (whole < cols) lift_plain(x + whole, ldx, y + whole, ldy, rows, cols - whole, levels);
}

void haar_unlift(float* x, int64_t ldx, int64_t rows, int64_t cols, int levels) noexcept {
  const int64_t whole = cols / kWidth * kWidth;
  const int64_t strip = levels > kRunLevels ? kStripColumns : whole;
  for (int64_t c = 0; c < whole; c += strip)
    unlift_strip(x + c, ldx, rows, whole - c < strip ? whole - c : strip, levels);
  if (whole < cols) unlift_plain(x + whole, ldx, rows, cols - whole, levels);
}

}  // namespace
}  // namespace stamp
