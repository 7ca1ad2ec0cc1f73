#pragma once
// Orthonormal Haar wavelet along the token axis, any length.
#include <vector>

#include "stamp/quant/sequence_transform.h"

namespace stamp {

/// In place, J = min(levels, ceil(log2 rows)) levels: pairs (a, b) -> ((a + b)/sqrt 2, (a - b)/sqrt
/// 2), the last row of an odd length passes unscaled. Row order afterwards [A_J, D_J, ..., D_1].
/// O(rows * cols).
void haar_forward(FloatView x, int levels);
void haar_inverse(FloatView x, int levels);
/// The same numbers in place ("lifting order"): runs of 2^levels rows are independent, and row t of
/// the result is row haar_row(t) of haar_forward. haar_lift is computed bit by bit as haar_forward.
void haar_lift(FloatView x, int levels);
void haar_unlift(FloatView x, int levels);
int64_t haar_row(int64_t t, int64_t tokens, int levels);
/// Sub-bands A_J, D_J, ..., D_1 (none is empty).
std::vector<Band> haar_bands(int64_t tokens, int levels);
/// ceil(log2 tokens): the largest J that still changes anything.
int haar_max_levels(int64_t tokens);

}  // namespace stamp
