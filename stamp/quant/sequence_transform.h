#pragma once
// Orthonormal transforms L along the token axis (STaMP, arXiv 2510.26771): rows of a matrix are
// mixed, columns are independent. L commutes with any right multiplication.
#include <span>
#include <string_view>
#include <vector>

#include "stamp/core/tensor.h"

namespace stamp {

/// A run of rows of L X that shares one bit width: [first, first + count).
struct Band {
  int64_t first = 0;
  int64_t count = 0;
};

/// One row of the table of transforms. `levels` is used by wavelets only.
struct SequenceTransform {
  std::string_view name;
  /// In place X := L X. X is [tokens, cols], any tokens >= 1.
  void (*forward)(FloatView x, int levels);
  /// In place X := L^-1 X.
  void (*inverse)(FloatView x, int levels);
  /// Bands in row order: sub-bands of a wavelet; single rows for transforms without bands.
  std::vector<Band> (*bands)(int64_t tokens, int levels);
  /// Rows over which one output row mixes tokens: 2^levels for Haar, `tokens` for DCT and WHT, 1
  /// for identity. The last token of every such run is exactly causal.
  int64_t (*run_length)(int64_t tokens, int levels);
  /// True when `levels` matters.
  bool has_levels;
  /// True when L is haar_lift() up to the order of rows (identity: with no levels).
  bool lifted;
};

/// identity, haar, dct, wht.
std::span<const SequenceTransform> sequence_transforms();
/// Throws std::invalid_argument listing the known names.
const SequenceTransform& sequence_transform(std::string_view name);
/// Largest J with at least `high_tokens` rows in A_J (ceil halves), capped at ceil(log2 tokens); 0
/// when even A_1 has fewer.
int auto_levels(int64_t tokens, int64_t high_tokens);

}  // namespace stamp
