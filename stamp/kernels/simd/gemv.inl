// y = W x with four rows of W at a time: the bound is memory. Four streams keep the prefetchers
// busy, and asking for the next four rows by hand reads another tenth faster. Included once per
// instruction set, after the vector type.
#include <cstdint>

namespace stamp {
namespace {

/// y[0 .. Rows) for Rows = 1 or 4. Loops over accumulators are unrolled, so that they live in
/// registers.
template <class Load, int Rows>
void gemv_rows(const float* x, const typename Load::Element* w, int64_t ldw, float* y, int64_t k) {
  Vec even[Rows], odd[Rows];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) even[r] = odd[r] = zero();
  int64_t i = 0;
  for (; i + 2 * kWidth <= k; i += 2 * kWidth) {
    const Vec x0 = load(x + i), x1 = load(x + i + kWidth);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      __builtin_prefetch(w + (r + Rows) * ldw + i, 0, 3);
      even[r] = fma(Load::full(w + r * ldw + i), x0, even[r]);
      odd[r] = fma(Load::full(w + r * ldw + i + kWidth), x1, odd[r]);
    }
  }
  for (; i < k; i += kWidth) {
    const int64_t n = k - i;
    const Vec x0 = n < kWidth ? load(x + i, n) : load(x + i);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      const typename Load::Element* p = w + r * ldw + i;
      even[r] = fma(n < kWidth ? Load::part(p, n) : Load::full(p), x0, even[r]);
    }
  }
  if constexpr (Rows == 4)
    store_sums(y, even[0] + odd[0], even[1] + odd[1], even[2] + odd[2], even[3] + odd[3]);
  else
    y[0] = sum(even[0] + odd[0]);
}

template <class Load>
void gemv(const float* x, const typename Load::Element* w, int64_t ldw, float* y, int64_t rows,
          int64_t k) noexcept {
  int64_t j = 0;
  for (; j + 4 <= rows; j += 4) gemv_rows<Load, 4>(x, w + j * ldw, ldw, y + j, k);
  for (; j < rows; ++j) gemv_rows<Load, 1>(x, w + j * ldw, ldw, y + j, k);
}

}  // namespace
}  // namespace stamp
