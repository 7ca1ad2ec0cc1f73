#pragma once
// Orthonormal DCT-II along the token axis.
#include "stamp/core/tensor.h"

namespace stamp {

/// In place X := C X, C[k, i] = s_k cos(pi (2i + 1) k / (2n)), s_0 = sqrt(1/n), s_k = sqrt(2/n).
/// Any number of rows n >= 1, O(n log n) per column. Columns are
/// worked on in pairs, so rounding errors (1e-7 of the larger one) depend on the neighbours.
void dct_forward(FloatView x, int levels);
/// In place X := C^T X.
void dct_inverse(FloatView x, int levels);

}  // namespace stamp
