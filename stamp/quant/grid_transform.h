#pragma once
// Two-dimensional transforms of a grid of tokens (the patches of an image, row by row).
#include <vector>

#include "stamp/quant/sequence_transform.h"

namespace stamp {

struct Grid {
  int64_t height = 1, width = 1;
};
/// The grid of `tokens`: rows of `width`, or with 0 the most nearly square one that is at least as
/// wide as high. Throws std::invalid_argument when `width` does not divide the tokens.
Grid grid_of(int64_t tokens, int64_t width);

/// In place, orthonormal. Per level one Haar level along the grid's rows, then along the columns of
/// the approximation block, each axis until it has one row; odd sizes as in haar_forward(). Rows
/// [LL_J, (cH, cV, cD)_J, ..., (cH, cV, cD)_1], each sub-band row by row; cH: high-pass along the
/// height, low-pass along the width; cV: the reverse.
void haar2d_forward(FloatView x, const TransformParams& params);
void haar2d_inverse(FloatView x, const TransformParams& params);
/// Its sub-bands in this order, empty ones left out.
std::vector<Band> haar2d_bands(int64_t tokens, const TransformParams& params);

/// In place, the orthonormal DCT-II along both axes. Rows in ascending order of frequency u /
/// height + v / width, the smaller u first on ties.
void dct2d_forward(FloatView x, const TransformParams& params);
void dct2d_inverse(FloatView x, const TransformParams& params);

}  // namespace stamp
