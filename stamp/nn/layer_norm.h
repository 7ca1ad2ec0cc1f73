#pragma once
// Layer norm with its learned scale and offset, on all threads.
#include "stamp/nn/normalization.h"

namespace stamp {

/// out = (x - mean) / sqrt(variance + eps) * weight + bias, row by row; out may be x. Throws
/// std::invalid_argument when shapes differ.
void layer_norm_rows(ConstFloatView x, const ChannelAffine& affine, double eps, FloatView out);

}  // namespace stamp
