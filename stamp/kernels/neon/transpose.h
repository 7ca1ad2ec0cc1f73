#pragma once
// Transposition by 4 x 4 blocks in registers.
#include <arm_neon.h>

#include <cstdint>

namespace stamp {
namespace {

inline void transpose_4x4(const float* x, int64_t ldx, float* y, int64_t ldy) {
  const float32x4_t r0 = vld1q_f32(x), r1 = vld1q_f32(x + ldx);
  const float32x4_t r2 = vld1q_f32(x + 2 * ldx), r3 = vld1q_f32(x + 3 * ldx);
  const auto pairs = [](float32x4_t a, float32x4_t b) {
    return vreinterpretq_f64_f32(vtrn1q_f32(a, b));
  };
  const auto others = [](float32x4_t a, float32x4_t b) {
    return vreinterpretq_f64_f32(vtrn2q_f32(a, b));
  };
  const auto store = [](float* p, float64x2_t row) { vst1q_f32(p, vreinterpretq_f32_f64(row)); };
  const float64x2_t even01 = pairs(r0, r1), even23 = pairs(r2, r3);
  const float64x2_t odd01 = others(r0, r1), odd23 = others(r2, r3);
  store(y, vtrn1q_f64(even01, even23));
  store(y + ldy, vtrn1q_f64(odd01, odd23));
  store(y + 2 * ldy, vtrn2q_f64(even01, even23));
  store(y + 3 * ldy, vtrn2q_f64(odd01, odd23));
}

void transpose_f32(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows,
                   int64_t cols) noexcept {
  const int64_t whole_rows = rows / 4 * 4, whole_cols = cols / 4 * 4;
  for (int64_t i = 0; i < whole_rows; i += 4)
    for (int64_t j = 0; j < whole_cols; j += 4)
      transpose_4x4(x + i * ldx + j, ldx, y + j * ldy + i, ldy);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = i < whole_rows ? whole_cols : 0; j < cols; ++j)
      y[j * ldy + i] = x[i * ldx + j];
}

}  // namespace
}  // namespace stamp
