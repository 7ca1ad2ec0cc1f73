#pragma once
// One budget of bits for many quantized tensors.
#include <span>
#include <vector>

#include "stamp/quant/recipe.h"

namespace stamp {

/// One tensor that shares a budget; its plan is waterfill.
struct BudgetSite {
  TokenSpec spec;
  std::vector<float> range2;  // calibrated row costs of one transform block
  int64_t cols = 0;           // elements per token
  /// What one unit of expected_error() does to the model (the quadratic error model: KL divergence
  /// is proportional to the energy of a small disturbance, and those of different tensors add).
  double sensitivity = 0;
};

/// Average bits of each tensor, multiples of 1/16, that minimise sum sensitivity * expected_error()
/// while the mean over all elements is at most `average_bits`. Greedy, which is exact up to one
/// step because each error is convex in its bits. Throws std::invalid_argument when the budget is
/// below what min_bits and sink rows need, or where row_bits() does.
std::vector<double> share_bits(std::span<const BudgetSite> sites, double average_bits);

}  // namespace stamp
