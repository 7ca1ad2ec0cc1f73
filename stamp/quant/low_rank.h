#pragma once
// A weight as a product of thin matrices plus what is left (METHODS 9).
#include <functional>

#include "stamp/core/tensor.h"
#include "stamp/quant/gptq.h"

namespace stamp {

/// up [out_dim, rank] down [rank, in_dim].
struct LowRank {
  Matrix up, down;
};

/// The best approximation of W [out_dim, in_dim] of that rank: up = U S, down = V^T of its singular
/// value decomposition, in fp64 through the Gram matrix of the shorter side. Throws
/// std::invalid_argument when rank is below 1 or above the shorter side.
LowRank truncated_svd(ConstFloatView weight, int64_t rank);
/// W - up down.
Matrix without(ConstFloatView weight, const LowRank& branch);

/// sum_t |x_t E^T|^2 over the tokens of H.
double output_energy(ConstFloatView error, const Hessian& hessian);

/// SVDQuant: the branch of `rank`, in bf16 numbers, and the codes of the rest whose output error on
/// the inputs of `hessian` is smallest; each round takes the branch of what the codes before left
/// over, until the error rises (100 rounds at most). `quantize` gives codes of a matrix.
struct BranchAndCodes {
  LowRank branch;
  StoredWeightBuffer codes;
  double error = 0;  // output_energy
};
BranchAndCodes split_low_rank(ConstFloatView weight, int64_t rank, const Hessian& hessian,
                              const std::function<StoredWeightBuffer(ConstFloatView)>& quantize);

}  // namespace stamp
