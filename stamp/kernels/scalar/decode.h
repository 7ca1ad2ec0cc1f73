#pragma once
// The specification of the way back from sums to outputs.
#include <cstdint>

#include "stamp/kernels/row_constants.h"
#include "stamp/kernels/scalar/transform.h"

namespace stamp {
namespace {

/// acc - bias * sum, exact.
inline float centered_sum(int32_t acc, const RowConstants& row, int32_t weight_bias) {
  return static_cast<float>(acc - weight_bias * row.sum);
}

/// `real(i, j)`: the untransformed row, without the column's scale.
template <class Real>
void decode_run(const Real& real, int64_t rows, int levels, const float* column_scale,
                const float* bias, float* y, int64_t ldy, int add) noexcept {
  constexpr int64_t kColumns = 64;
  const int64_t run = int64_t{1} << levels;
  for (int64_t first = 0; first < rows; first += run)
    for (int64_t j = 0; j < kColumns; ++j) {
      for (int64_t t = first; t < first + run; ++t) {
        // Down the tree to token t: the sign of a detail says which half t lies in.
        float factor = 1, value = 0;
        for (int level = 1; level <= levels; ++level) {
          const int64_t half = int64_t{1} << (level - 1);
          const int64_t detail = (t & ~(2 * half - 1)) + half;
          factor *= kHalfSqrt2;
          value += (t & half ? -factor : factor) * real(detail, j);
        }
        value = (value + factor * real(first, j)) * column_scale[j] + bias[j];
        y[t * ldy + j] = add ? y[t * ldy + j] + value : value;
      }
    }
}

inline void decode_s32(const int32_t* acc, const RowConstants* constants, int64_t rows, int levels,
                       int32_t weight_bias, const float* column_scale, const float* column_sum,
                       const float* bias, float* y, int64_t ldy, int add, int) noexcept {
  const auto real = [&](int64_t i, int64_t j) {
    const RowConstants& row = constants[i];
    const float offset = row.scale * static_cast<float>(row.offset);
    return row.scale * centered_sum(acc[i * 64 + j], row, weight_bias) - offset * column_sum[j];
  };
  decode_run(real, rows, levels, column_scale, bias, y, ldy, add);
}

inline void decode_f32(const float* acc, int64_t rows, int levels, const float* bias, float* y,
                       int64_t ldy, int add, int) noexcept {
  float ones[64];
  for (float& one : ones) one = 1;
  decode_run([&](int64_t i, int64_t j) { return acc[i * 64 + j]; }, rows, levels, ones, bias, y,
             ldy, add);
}

inline void add_scaled_s32(const int32_t* acc, const RowConstants* constants, int64_t rows,
                           int32_t weight_bias, const float* column_scale,
                           const int32_t* column_sum, float* out, int accumulate) noexcept {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < 64; ++j) {
      const RowConstants& row = constants[i];
      const float sum = centered_sum(acc[i * 64 + j], row, weight_bias) -
                        static_cast<float>(row.offset) * static_cast<float>(column_sum[j]);
      const float value = row.scale * column_scale[j] * sum;
      out[i * 64 + j] = accumulate ? out[i * 64 + j] + value : value;
    }
}

}  // namespace
}  // namespace stamp
