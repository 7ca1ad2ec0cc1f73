#include "stamp/quant/low_rank.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr int kMostRounds = 100;
constexpr int64_t kRows = 64;
using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

RowMajor as_double(ConstFloatView x) {
  RowMajor result(x.rows, x.cols);
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.cols; ++j) result(i, j) = x(i, j);
  return result;
}

Matrix as_float(const RowMajor& x) {
  Matrix result(x.rows(), x.cols());
  std::transform(x.data(), x.data() + x.size(), result.data(),
                 [](double value) { return static_cast<float>(value); });
  return result;
}

/// Eigenvectors of the `count` largest eigenvalues of a symmetric matrix, largest first.
RowMajor leading_vectors(const Eigen::MatrixXd& gram, int64_t count) {
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram);
  if (solver.info() != Eigen::Success)
    throw_runtime("svd: the eigenvalues of a matrix of order {} did not converge", gram.rows());
  return solver.eigenvectors().rightCols(count).rowwise().reverse();
}

void round_to_bf16(Matrix& x) {
  for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = bf16_to_f32(f32_to_bf16(x.data()[i]));
}

Matrix dequantized(const StoredWeight& codes) {
  Matrix values(codes.out_dim, codes.in_dim);
  dequantize(codes, 0, values.view());
  return values;
}

Matrix difference(ConstFloatView a, const Matrix& b) {
  Matrix result(a.rows, a.cols);
  for (int64_t i = 0; i < a.rows; ++i)
    for (int64_t j = 0; j < a.cols; ++j) result(i, j) = a(i, j) - b(i, j);
  return result;
}

}  // namespace

LowRank truncated_svd(ConstFloatView weight, int64_t rank) {
  if (rank < 1 || rank > std::min(weight.rows, weight.cols))
    throw_argument("svd: expected a rank from 1 to {} for a weight [{}, {}], got {}",
                   std::min(weight.rows, weight.cols), weight.rows, weight.cols, rank);
  const RowMajor w = as_double(weight);
  if (weight.cols <= weight.rows) {  // W^T W = V S^2 V^T
    const RowMajor v = leading_vectors(w.transpose() * w, rank);
    return {as_float(w * v), as_float(v.transpose())};
  }
  const RowMajor u = leading_vectors(w * w.transpose(), rank);
  RowMajor down = u.transpose() * w;  // S V^T
  RowMajor up = u;
  for (int64_t i = 0; i < rank; ++i) {
    const double size = down.row(i).norm();
    if (size == 0) continue;
    down.row(i) /= size;
    up.col(i) *= size;
  }
  return {as_float(up), as_float(down)};
}

Matrix without(ConstFloatView weight, const LowRank& branch) {
  Matrix product(weight.rows, weight.cols);
  parallel_ranges(weight.rows, kRows, [&](int64_t begin, int64_t end) {
    kernels().gemm_f32(branch.up.row(begin), branch.up.cols(), branch.down.data(), weight.cols,
                       product.row(begin), weight.cols, end - begin, weight.cols, branch.up.cols(),
                       0);
  });
  return difference(weight, product);
}

double output_energy(ConstFloatView error, const Hessian& hessian) {
  if (hessian.dim() != error.cols)
    throw_argument("output error: a Hessian of {} channels does not fit [{}, {}]", hessian.dim(),
                   error.rows, error.cols);
  Matrix dense(error.cols, error.cols);
  parallel_for(error.cols, [&](int64_t i) {
    for (int64_t j = 0; j < error.cols; ++j) dense(i, j) = static_cast<float>(hessian.at(i, j));
  });
  const int64_t tasks = (error.rows + kRows - 1) / kRows;
  std::vector<double> sums(static_cast<size_t>(tasks));
  parallel_for(tasks, [&](int64_t task) {
    const int64_t first = task * kRows;
    const ConstFloatView rows = error.rows_from(first, std::min(kRows, error.rows - first));
    Matrix product(rows.rows, rows.cols);
    kernels().gemm_f32(rows.data, rows.stride, dense.data(), dense.cols(), product.data(),
                       product.cols(), rows.rows, rows.cols, rows.cols, 0);
    for (int64_t i = 0; i < rows.rows; ++i)
      for (int64_t j = 0; j < rows.cols; ++j)
        sums[static_cast<size_t>(task)] += double{product(i, j)} * rows(i, j);
  });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

BranchAndCodes split_low_rank(ConstFloatView weight, int64_t rank, const Hessian& hessian,
                              const std::function<StoredWeightBuffer(ConstFloatView)>& quantize) {
  BranchAndCodes best{.branch = {}, .codes = {}, .error = std::numeric_limits<double>::infinity()};
  Matrix rest = Matrix::copy_of(weight);  // what the codes of the round before leave over
  for (int round = 0; round < kMostRounds; ++round) {
    BranchAndCodes now{.branch = truncated_svd(rest.view(), rank), .codes = {}};
    round_to_bf16(now.branch.up);
    round_to_bf16(now.branch.down);
    const Matrix residual = without(weight, now.branch);
    now.codes = quantize(residual.view());
    const Matrix values = dequantized(now.codes.view);
    now.error = output_energy(difference(residual.view(), values).view(), hessian);
    if (now.error > best.error) break;
    const bool settled = now.error == best.error;
    best = std::move(now);
    if (settled) break;
    rest = difference(weight, values);
  }
  return best;
}

}  // namespace stamp
