#pragma once
// GPTQ: codes of a weight one input channel after another, each taking over the rounding error of
// those before it (METHODS 4).
#include <span>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/recipe.h"
#include "stamp/quant/stored_weight.h"

namespace stamp {

/// H = sum_t x_t x_t^T over the inputs of a linear, in fp64 (GPTQ's factor 2/N changes nothing: the
/// damping is relative). fp32 products of a few hundred tokens are rounded to a grid that makes
/// their sums exact in fp64: any order of the tokens, over any number of processes, gives the same
/// bits.
class Hessian {
 public:
  /// `rms`: about the root mean square of each input channel, as channel_rms() of some of the rows
  /// that will be added. Entry (i, j) is a multiple of 2^-24 rms_i rms_j, and exact up to 2^29
  /// rms_i rms_j. Throws std::invalid_argument without channels.
  explicit Hessian(const std::vector<float>& rms);
  /// Adds the rows of x [tokens, dim]. Runs on all threads. Throws std::invalid_argument when the
  /// columns do not fit.
  void add(ConstFloatView x);
  /// Entry (i, j), j <= i, at i (i + 1) / 2 + j: where several processes add up theirs.
  std::span<double> sums() { return lower_; }
  int64_t dim() const { return static_cast<int64_t>(unit_.size()); }
  double at(int64_t i, int64_t j) const;

 private:
  std::vector<double> unit_;   // powers of two near rms, of each channel
  std::vector<double> lower_;  // row i holds columns 0 .. i
};
/// Root mean square of each column; rows may not be empty.
std::vector<float> channel_rms(ConstFloatView x);

/// What GPTQ needs of H: H' = R R^T with R upper triangular, H' being H + damping mean(diag H) I in
/// the order of quantization. (R^-1 is GPTQ's upper Cholesky factor of the inverse.)
struct GptqFactor {
  std::vector<int64_t> order;  // place -> input channel
  std::vector<uint8_t> dead;   // input channels that never carried a signal: their weights become 0
  Matrix factor;               // R
  double damping = 0;          // the one that made H' positive definite
};
/// Adds a tenth of the damping again and again, up to 250 times, while the Cholesky factorisation
/// (fp64) fails. Throws std::runtime_error when it always does (numbers that are not finite).
GptqFactor factor_hessian(const Hessian& hessian, const WeightSpec& spec);

/// Codes of W [out_dim, in_dim] that make sum |x (W - W^)^T|^2 small. Scales are those of
/// weight_grid(): per output channel of W; per group of W with its errors taken over so far, or,
/// with act_order, of W as it is. Runs on all threads; the result does not depend on their number.
/// Throws std::invalid_argument when shapes do not fit and where make_stored_weight() does.
StoredWeightBuffer gptq(ConstFloatView weight, const GptqFactor& factor, const WeightSpec& spec);

}  // namespace stamp
