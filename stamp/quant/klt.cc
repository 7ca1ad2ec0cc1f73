#include "stamp/quant/klt.h"

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/quant/column_blocks.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = 64;

std::shared_ptr<const KltBasis::Vectors> eigenvectors(const std::vector<float>& covariance,
                                                      int64_t stride, int64_t count) {
  using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const RowMajor> all(covariance.data(), stride, stride);
  const Eigen::MatrixXd part = all.topLeftCorner(count, count).cast<double>();
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(part);
  if (solver.info() != Eigen::Success)
    throw_runtime("klt: the eigenvectors of a covariance of {} tokens do not converge", count);
  auto vectors = std::make_shared<KltBasis::Vectors>();
  vectors->rows.reshape(count, count);
  vectors->columns.reshape(count, count);
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < count; ++j)
      vectors->rows(i, j) = vectors->columns(j, i) =
          static_cast<float>(solver.eigenvectors()(j, count - 1 - i));
  return vectors;
}

const KltBasis& basis_of(const TransformParams& params) {
  if (!params.basis)
    throw_argument("klt: needs a calibrated covariance, got none; calibrate the recipe first");
  return *params.basis;
}

/// Place in the blocks, one after the other, of every row of L X.
std::vector<int64_t> klt_order(int64_t tokens, int64_t block) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < tokens; ++i) order.push_back(i);
  const auto frequency = [&](int64_t i) {
    const int64_t length = std::min(block, tokens - i / block * block);
    return static_cast<double>(i % block) / static_cast<double>(length);
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return frequency(a) < frequency(b); });
  return order;
}

/// What both directions need for blocks of `tokens` rows.
struct Plan {
  Plan(int64_t tokens, const TransformParams& params)
      : block(std::min(tokens, basis_of(params).tokens())),
        whole(params.basis->vectors(block)),
        rest(tokens % block == 0 ? nullptr : params.basis->vectors(tokens % block)),
        order(klt_order(tokens, block)) {}
  const KltBasis::Vectors& of(int64_t rows) const { return rows == block ? *whole : *rest; }

  int64_t block;
  std::shared_ptr<const KltBasis::Vectors> whole, rest;
  std::vector<int64_t> order;
};

/// out rows of each block = matrix * its rows of `in`.
template <class Choose>
void multiply_blocks(const Plan& plan, ConstFloatView in, FloatView out, Choose&& choose) {
  for (int64_t first = 0; first < in.rows; first += plan.block) {
    const int64_t rows = std::min(plan.block, in.rows - first);
    const Matrix& matrix = choose(plan.of(rows));
    kernels().gemm_f32(matrix.data(), rows, in.row(first), in.stride, out.row(first), out.stride,
                       rows, in.cols, rows, 0);
  }
}

}  // namespace

KltBasis::KltBasis(std::vector<float> covariance) : covariance_(std::move(covariance)) {
  const auto size = static_cast<int64_t>(covariance_.size());
  tokens_ = std::llround(std::sqrt(static_cast<double>(size)));
  if (tokens_ < 1 || tokens_ > kMaxKltTokens || tokens_ * tokens_ != size)
    throw_argument("klt: expected a covariance of 1 to {} tokens squared, got {} numbers",
                   kMaxKltTokens, size);
  if (!std::all_of(covariance_.begin(), covariance_.end(),
                   [](float v) { return std::isfinite(v); }))
    throw_argument("klt: the covariance holds numbers that are not finite");
}

std::shared_ptr<const KltBasis::Vectors> KltBasis::vectors(int64_t count) const {
  const std::lock_guard lock(guard_);
  std::shared_ptr<const Vectors>& found = vectors_[count];
  if (!found) found = eigenvectors(covariance_, tokens_, count);
  return found;
}

void klt_forward(FloatView x, const TransformParams& params) {
  const Plan plan(x.rows, params);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    Matrix rows(block.rows, block.cols);
    multiply_blocks(plan, block, rows.view(),
                    [](const KltBasis::Vectors& v) -> const Matrix& { return v.rows; });
    for (int64_t i = 0; i < block.rows; ++i)
      std::copy_n(rows.row(plan.order[static_cast<size_t>(i)]), block.cols, block.row(i));
  });
}

void klt_inverse(FloatView x, const TransformParams& params) {
  const Plan plan(x.rows, params);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    Matrix rows(block.rows, block.cols);
    for (int64_t i = 0; i < block.rows; ++i)
      std::copy_n(block.row(i), block.cols, rows.row(plan.order[static_cast<size_t>(i)]));
    multiply_blocks(plan, rows.view(), block,
                    [](const KltBasis::Vectors& v) -> const Matrix& { return v.columns; });
  });
}

int64_t klt_run(int64_t tokens, const TransformParams& params) {
  return params.klt_tokens > 0 ? std::min(tokens, params.klt_tokens) : tokens;
}

}  // namespace stamp
