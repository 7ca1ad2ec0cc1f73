#pragma once
// Weight quantizers: round to nearest (RTN), optional clip search.
#include "stamp/core/tensor.h"
#include "stamp/quant/recipe.h"
#include "stamp/quant/row_quantizer.h"

namespace stamp {

/// Learned shares of the lower and upper end of each row's range, in turns: low, high, low, ...;
/// empty: the whole range.
using RowClips = std::span<const float>;

/// The grid of one scale group: its range, with mse_clip the range times the first of 80 ratios
/// 1.00..0.21 with the smallest sum |error|^clip_norm (METHODS 1.6). The same in every instruction
/// set.
Grid weight_grid(std::span<const float> weights, const WeightSpec& spec);
/// The same for a group of row `row` with learned shares, which replace the search.
Grid weight_grid(std::span<const float> weights, const WeightSpec& spec, RowClips clips,
                 int64_t row);
/// Replaces W [out_dim, in_dim] by its dequantized RTN reconstruction, per output channel or per
/// group of `spec.group` input channels (the last may be shorter), on all threads, each
/// with its weight_grid(). 16 bits: untouched.
void fake_quantize_weight(FloatView weight, const WeightSpec& spec, RowClips clips = {});
/// Code plus scale bits of such a weight, with those of its branch.
double weight_bits_per_element(const WeightSpec& spec, int64_t out_dim, int64_t in_dim);

}  // namespace stamp
