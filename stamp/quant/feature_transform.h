#pragma once
// Orthonormal transforms R of the feature (column) axis: X := X R, with the weight stored as W R (W
// R^-T of a general R). Hadamard orders follow METHODS 5.3: Paley I / II times powers of two.
#include <memory>
#include <string>

#include "stamp/core/tensor.h"

namespace stamp {

/// The smallest K with order = K * 2^k for which a matrix of order K is known here (1: Sylvester);
/// 0: there is none.
int64_t hadamard_odd_part(int64_t order);

/// How a size n is covered: H_n where one exists, else I (x) H_head_dim across heads, else
/// block-diagonal over the largest power of two dividing n.
struct HadamardPlan {
  int64_t order = 1;        // order of one block; n / order blocks along the diagonal
  int64_t odd = 1;          // K of order = K * 2^k (hadamard_odd_part)
  bool inverse = false;     // H^T instead of H
  std::string description;  // "H_384 = H_12 x H_32", "I_14 x H_64", ...: printed so that nothing
                            // falls back silently
};

/// Plan for `n` features made of heads of `head_dim` (0: not made of heads). Throws
/// std::invalid_argument for n < 1.
HadamardPlan plan_hadamard(int64_t n, int64_t head_dim = 0);
/// The same, the other way.
HadamardPlan inverse_of(HadamardPlan plan);
/// In place, every row x := x R with R = I (x) H_K (x) H_2^k / sqrt(order), O(n log n + n K) per
/// row, on all threads. Throws std::invalid_argument when plan.order does not divide the number of
/// columns.
void apply_hadamard(FloatView x, const HadamardPlan& plan);

/// apply_hadamard() for callers that hold one row in cache.
class RowRotation {
 public:
  /// Throws as apply_hadamard().
  RowRotation(const HadamardPlan& plan, int64_t cols);
  /// out = in R, [cols] each; out == in or no aliasing. `scratch` holds scratch_size() floats.
  void apply(const float* in, float* out, float* scratch) const;
  int64_t scratch_size() const { return odd_ == 1 ? 0 : order_; }

 private:
  int64_t order_, odd_, cols_;
  std::shared_ptr<const Matrix> factor_;  // of order `odd`; transposed unless inverse
};

/// True when a Hadamard matrix of this order can be built here: K * 2^k, K = 1, 172 (Williamson) or
/// a Paley I or II order up to 4096.
bool has_hadamard(int64_t order);
/// The +-1 matrix H of order n (not normalised), row-major; H H^T = n I. Throws
/// std::invalid_argument when has_hadamard is false or the order exceeds 16384.
Matrix hadamard_matrix(int64_t order);

}  // namespace stamp
