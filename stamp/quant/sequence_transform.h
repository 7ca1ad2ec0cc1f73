#pragma once
// Transforms L along the token axis (STaMP, arXiv 2510.26771): rows of a matrix are mixed, columns
// are independent. L commutes with any right multiplication.
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "stamp/core/tensor.h"

namespace stamp {

class KltBasis;  // klt.h

/// A run of rows of L X that shares one bit width: [first, first + count).
struct Band {
  int64_t first = 0;
  int64_t count = 0;
};

/// What a transform needs to know besides the rows; most read the levels at most.
struct TransformParams {
  TransformParams(int levels = 0) : levels(levels) {}  // NOLINT: a number of levels is enough
  int levels;              // of wavelets; more than the rows allow are as many as they allow
  int64_t grid_width = 0;  // haar2d, dct2d: tokens in a row of the image; 0: see grid_of()
  int64_t klt_tokens = 0;  // klt: at most so many tokens share a basis; 0: all
  std::shared_ptr<const KltBasis> basis;  // klt
};

/// One row of the table of transforms.
struct SequenceTransform {
  std::string_view name;
  /// In place X := L X. X is [tokens, cols], any tokens >= 1. Throws std::invalid_argument when the
  /// tokens do not fill grid rows, or klt has no basis.
  void (*forward)(FloatView x, const TransformParams& params);
  /// In place X := L^-1 X.
  void (*inverse)(FloatView x, const TransformParams& params);
  /// Bands in row order: sub-bands of a wavelet; single rows for transforms without bands.
  std::vector<Band> (*bands)(int64_t tokens, const TransformParams& params);
  /// Rows over which one output row mixes tokens: 2^levels for Haar, `tokens` for most others, 1
  /// for identity. The last token of every such run is exactly causal.
  int64_t (*run_length)(int64_t tokens, const TransformParams& params);
  /// True when `levels` matters.
  bool has_levels = false;
  /// True when L is haar_lift() up to the order of rows (identity: with no levels).
  bool lifted = false;
  /// L L^T = I. Otherwise an error in row i of L X counts as often as column i of L^-1 has energy.
  bool orthonormal = true;
};

/// identity, haar, haar2d, dct, dct2d, wht, klt, db2, db4, sym4, coif1, cdf53, cdf97.
std::span<const SequenceTransform> sequence_transforms();
/// Throws std::invalid_argument listing the known names.
const SequenceTransform& sequence_transform(std::string_view name);
/// Largest J with at least `high_tokens` rows in A_J, the first band; 0 when even A_1 has fewer.
int auto_levels(const SequenceTransform& transform, int64_t tokens, int64_t high_tokens,
                int64_t grid_width = 0);
/// Squared norms of the columns of L^-1: what a squared error in each row of L X costs. All ones
/// when L is orthonormal; O(tokens^2) otherwise.
std::vector<double> inverse_column_energies(const SequenceTransform& transform, int64_t tokens,
                                            const TransformParams& params);

}  // namespace stamp
