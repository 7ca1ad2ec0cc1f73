#pragma once
// full_attention() with 8-bit operands and exact integer products.
#include "stamp/nn/full_attention.h"

namespace stamp {

/// Keys, less their mean over tokens (which softmax does not see), and queries get a scale per
/// token and head, values one per channel in tiles of 128 tokens; probabilities are 8-bit fractions
/// of the largest in such a tile. `options` has no biases, no cap and no causality; shapes are
/// those of full_attention() and fit. Values must be finite. Runs on all threads; no aliasing.
void integer_attention(ConstFloatView q, ConstFloatView k, ConstFloatView v,
                       const FullAttention& options, FloatView out);

}  // namespace stamp
