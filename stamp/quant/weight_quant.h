#pragma once
// Weight quantizers: round to nearest (RTN), optional clip search.
#include "stamp/core/tensor.h"
#include "stamp/quant/recipe.h"
#include "stamp/quant/row_quantizer.h"

namespace stamp {

/// The grid of one scale group: its range, with mse_clip the range times the first of 80 ratios
/// 1.00..0.21 with the smallest sum |error|^2.4 (METHODS 1.6). The same in every instruction set.
Grid weight_grid(std::span<const float> weights, const WeightSpec& spec);
/// Replaces W [out_dim, in_dim] by its dequantized RTN reconstruction, per output channel or per
/// group of `spec.group` input channels (the last may be shorter), on all threads, each
/// with its weight_grid(). 16 bits: untouched.
void fake_quantize_weight(FloatView weight, const WeightSpec& spec);
/// Code plus scale bits of such a weight.
double weight_bits_per_element(const WeightSpec& spec, int64_t out_dim, int64_t in_dim);

}  // namespace stamp
