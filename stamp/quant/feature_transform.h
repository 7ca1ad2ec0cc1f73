#pragma once
// Orthonormal transforms R of the feature (column) axis: X := X R, with the weight stored as W R (W R^-T of a
// general R). Hadamard orders follow METHODS 5.3: Paley I / II times powers of two.
#include <memory>
#include <string>
#include <string_view>

#include "stamp/core/tensor.h"

namespace stamp {

/// How a size n is covered: H_n where one exists, else I (x) H_head_dim across heads, else block-diagonal
/// over the largest power of two dividing n.
struct HadamardPlan {
  int64_t order = 1;   // order of one block; n / order blocks along the diagonal
  int64_t odd = 1;     // K of order = K * 2^k; 1: Sylvester
  std::string description;  // "H_384 = H_12 x H_32", "I_14 x H_64", ...: printed so that nothing falls back silently
};

/// Plan for `n` features made of heads of `head_dim` (0: not made of heads). Throws std::invalid_argument
/// for n < 1.
HadamardPlan plan_hadamard(int64_t n, int64_t head_dim = 0);
/// In place, every row x := x R with R = the planned orthonormal Hadamard, O(n log n) per row, on all threads.
void apply_hadamard(FloatView x, const HadamardPlan& plan);
/// True when a Hadamard matrix of this order can be built here: K * 2^k, K a Paley I or II order (or 1).
bool has_hadamard(int64_t order);
/// The +-1 matrix H of order n (not normalised), row-major; H H^T = n I. Throws when has_hadamard is false.
Matrix hadamard_matrix(int64_t order);

}  // namespace stamp
