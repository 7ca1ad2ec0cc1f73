#pragma once
// Transposition by 8 x 8 blocks in registers. Internal linkage, as everything compiled per
// instruction set.
#include <immintrin.h>

#include <cstdint>

namespace stamp {
namespace {

inline void transpose_8x8(const float* x, int64_t ldx, float* y, int64_t ldy) {
  __m256 r[8], t[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = _mm256_loadu_ps(x + i * ldx);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {  // pairs of rows interleaved, within each half
    t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {  // columns of four rows: r[4 i + c] holds columns c and c + 4
    r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    _mm256_storeu_ps(y + c * ldy, _mm256_permute2f128_ps(r[c], r[4 + c], 0x20));
    _mm256_storeu_ps(y + (c + 4) * ldy, _mm256_permute2f128_ps(r[c], r[4 + c], 0x31));
  }
}

void transpose_f32(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows,
                   int64_t cols) noexcept {
  const int64_t whole_rows = rows / 8 * 8, whole_cols = cols / 8 * 8;
  for (int64_t i = 0; i < whole_rows; i += 8)
    for (int64_t j = 0; j < whole_cols; j += 8)
      transpose_8x8(x + i * ldx + j, ldx, y + j * ldy + i, ldy);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = i < whole_rows ? whole_cols : 0; j < cols; ++j)
      y[j * ldy + i] = x[i * ldx + j];
}

}  // namespace
}  // namespace stamp
