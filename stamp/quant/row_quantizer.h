#pragma once
// The arithmetic of every integer grid in the program: ranges, scales, codes (METHODS 1.1, 1.2).
// Simulated and integer paths both go through it, so that they agree to the last code.
#include <algorithm>
#include <cstdint>
#include <span>

#include "stamp/quant/recipe.h"

namespace stamp {

/// Smallest and largest value of some numbers and zero; NaN is passed over.
struct Range {
  float low = 0, high = 0;
  /// What the quantizer spans: high - low, or twice the largest magnitude.
  float width(bool symmetric) const { return symmetric ? 2 * std::max(-low, high) : high - low; }
};
Range range_of(std::span<const float> values);

/// A uniform grid {scale * c : c integer, low <= c <= high}. The stored code is c, signed, of a
/// symmetric quantizer and c + zero_point() in 0 .. 2^bits - 1 of an asymmetric one.
struct Grid {
  float scale = 1;  // an fp16 value > 0
  float low = 0, high = 0;
  float inverse = 1;  // 1 / scale in fp32: values are multiplied, never divided
  int zero_point() const { return static_cast<int>(-low); }
};
/// bits in [2, 8]; both ends of the range are multiplied by `clip`. The scale is rounded to fp16
/// (never to zero or infinity) and the zero point follows from the rounded scale.
Grid make_grid(Range range, int bits, bool symmetric, float clip);
/// The grid of one row in `spec`: spec.clip and its shares apply to rows of at most 4 bits, where
/// steps are coarse and the tails of a row cost more than they hold.
Grid make_grid(Range range, int bits, const QuantizerSpec& spec);

/// round-half-to-even(value * inverse) within [low, high], as an integral float; NaN becomes `low`.
/// The arithmetic of the kernels quantize_s8 and snap_to_grid.
inline float grid_code(float value, const Grid& grid) {
  constexpr float kRound =
      12582912.0f;  // 1.5 * 2^23: adding it leaves an integer, exactly rounded to even
  float code = value * grid.inverse;
  code =
      code > grid.low ? code : grid.low;  // the bounds are integers: clamping first changes nothing
  code = code < grid.high ? code : grid.high;
  return (code + kRound) - kRound;
}
/// Replaces every value by its nearest grid point.
void snap_to_grid(std::span<float> values, const Grid& grid);

/// Calls body(first, count) for the runs of columns that share a scale: `group` columns each (0:
/// all), cut further into runs of `block` (0: not).
template <class Body>
void for_each_scale_group(int64_t cols, int64_t group, int64_t block, Body&& body) {
  if (group <= 0) group = cols;
  for (int64_t head = 0; head < cols; head += group) {
    const int64_t end = std::min(cols, head + group), step = block > 0 ? block : group;
    for (int64_t first = head; first < end; first += step) body(first, std::min(step, end - first));
  }
}
int64_t scale_group_count(int64_t cols, int64_t group, int64_t block);

/// Quantize-dequantize of one row at `bits`: 0 writes zeros, 16 changes nothing, else [2, 8] with
/// one grid per scale group (`group` columns, 0: all; then spec.block).
void fake_quantize_row(std::span<float> row, int bits, const QuantizerSpec& spec,
                       int64_t group = 0);
/// Squared range width, averaged over the row's scale groups: r_i^2 of the error bound.
double row_range2(std::span<const float> row, const QuantizerSpec& spec, int64_t group = 0);

}  // namespace stamp
