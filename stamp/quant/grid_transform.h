#pragma once
// Two-dimensional transforms of a grid of tokens (the patches of an image, row by row).
#include <vector>

#include "stamp/quant/sequence_transform.h"

namespace stamp {

struct TokenGrid {
  int64_t height = 1, width = 1;
};
/// The grid of `tokens`: rows of `width`, or with 0 the most nearly square one that is at least as
/// wide as high. Throws std::invalid_argument when `width` does not divide the tokens.
TokenGrid grid_of(int64_t tokens, int64_t width);

/// In place, orthonormal. Per level one Haar level along the grid's rows, then along the columns of
/// the approximation block, each axis until it has one row; odd sizes as in haar_forward(). Rows
/// [LL_J, (cH, cV, cD)_J, ..., (cH, cV, cD)_1], each sub-band row by row; cH: high-pass along the
/// height, low-pass along the width; cV: the reverse.
void haar2d_forward(FloatView x, const TransformParams& params);
void haar2d_inverse(FloatView x, const TransformParams& params);
/// Its sub-bands in this order, empty ones left out.
std::vector<Band> haar2d_bands(int64_t tokens, const TransformParams& params);

/// Grids whose sides are multiples of 2^levels fall into square patches that haar2d does not mix.
/// Patch after patch, row by row in each: the token of every place and the row of haar2d_forward()
/// that haar2d_lift() leaves there. Empty `tokens`: the grid has no such patches.
struct GridPatches {
  int levels = 0;
  std::vector<int32_t> tokens, rows;

  int64_t patch_rows() const { return int64_t{1} << 2 * levels; }
};
GridPatches haar2d_patches(int64_t tokens, const TransformParams& params);
/// In place on one patch [4^levels, cols]: the numbers of haar2d_forward(), bit by bit, where the
/// lifting leaves them; and back. Single-threaded.
void haar2d_lift(FloatView patch, int levels);
void haar2d_unlift(FloatView patch, int levels);
/// All of it but the last pairs along the width: one level of haar_unlift() over the patch is left.
void haar2d_unlift_to_pairs(FloatView patch, int levels);

/// In place, the orthonormal DCT-II along both axes. Rows in ascending order of frequency u /
/// height + v / width, the smaller u first on ties.
void dct2d_forward(FloatView x, const TransformParams& params);
void dct2d_inverse(FloatView x, const TransformParams& params);

}  // namespace stamp
