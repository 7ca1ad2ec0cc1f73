#pragma once
// Weight quantizers: round to nearest (RTN), optional clip search.
#include "stamp/core/tensor.h"
#include "stamp/quant/recipe.h"

namespace stamp {

/// Replaces W [out_dim, in_dim] by its dequantized RTN reconstruction, per output channel or per
/// group of `spec.group` input channels (the last may be shorter), on all threads. With mse_clip:
/// 80 clip ratios 1.00..0.21, the first with the smallest sum |error|^2.4, independently per
/// row/group (METHODS 1.6). Scales are fp16 values. 16 bits: untouched.
void fake_quantize_weight(FloatView weight, const WeightSpec& spec);
/// Code plus scale bits of such a weight.
double weight_bits_per_element(const WeightSpec& spec, int64_t out_dim, int64_t in_dim);

}  // namespace stamp
