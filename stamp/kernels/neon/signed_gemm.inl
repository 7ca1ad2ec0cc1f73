// Integer products where both factors must be signed: dot() takes a panel byte u as u - 128, and
// what is missing, 128 times the sum of a row, is added behind. Included after dot_gemm.inl.
#include <cstdint>

namespace stamp {
namespace {

/// c[i, j] += 128 sum_p a[i, p] for j < 64.
void add_row_sums(const int8_t* a, int64_t lda, int32_t* c, int64_t ldc, int64_t m, int64_t k) {
  for (int64_t i = 0; i < m; ++i) {
    int32_t sum = 0;
    for (int64_t p = 0; p < k; ++p) sum += a[i * lda + p];
    const Int missing = vdupq_n_s32(128 * sum);
    for (int64_t j = 0; j < kPanel; j += kIntLanes)
      store_int(c + i * ldc + j, add_32(load_int(c + i * ldc + j), missing));
  }
}

void signed_gemm_s8u8(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
                      int64_t m, int64_t k, const uint8_t* a_limit, int u_limit,
                      int accumulate) noexcept {
  gemm_s8u8(a, lda, panel, c, ldc, m, k, a_limit, u_limit, accumulate);
  add_row_sums(a, lda, c, ldc, m, k);
}

void signed_gemm_s8u4(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
                      int64_t m, int64_t k, const uint8_t* a_limit) noexcept {
  gemm_s8u4(a, lda, panel, c, ldc, m, k, a_limit);
  add_row_sums(a, lda, c, ldc, m, k);
}

}  // namespace
}  // namespace stamp
