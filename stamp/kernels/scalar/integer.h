#pragma once
// The specification of the integer products.
#include <cstdint>

namespace stamp {
namespace {

constexpr int64_t kPanel = 64;

inline void gemm_s8u8(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
                      int64_t m, int64_t k, const uint8_t*, int, int accumulate) noexcept {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < kPanel; ++j) {
      int32_t sum = accumulate ? c[i * ldc + j] : 0;
      for (int64_t p = 0; p < k; ++p)
        sum += a[i * lda + p] * panel[(p / 4 * kPanel + j) * 4 + p % 4];
      c[i * ldc + j] = sum;
    }
}

inline void unpack_u4(const uint8_t* nibbles, uint8_t* bytes, int64_t k) noexcept {
  constexpr int64_t kHalf = kPanel * 4;
  for (int64_t p = 0; p < k; p += 8, nibbles += kHalf, bytes += 2 * kHalf)
    for (int64_t i = 0; i < kHalf; ++i) {
      bytes[i] = nibbles[i] & 15;
      bytes[kHalf + i] = nibbles[i] >> 4;
    }
}

inline void gemm_s8u4(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
                      int64_t m, int64_t k, const uint8_t* a_limit) noexcept {
  uint8_t bytes[8 * kPanel];
  gemm_s8u8(a, lda, bytes, c, ldc, m, 0, a_limit, 15, 0);  // k may be 0
  for (int64_t p = 0; p < k; p += 8) {
    unpack_u4(panel + p * kPanel / 2, bytes, 8);
    gemm_s8u8(a + p, lda, bytes, c, ldc, m, 8, a_limit, 15, 1);
  }
}

}  // namespace
}  // namespace stamp
