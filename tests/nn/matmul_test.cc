#include "stamp/nn/matmul.h"

#include <gtest/gtest.h>

#include "random_matrix.h"
#include "stamp/core/cpu_features.h"

namespace stamp {
namespace {

/// The product in fp64.
Matrix reference(ConstFloatView x, const TensorView& weight, std::span<const float> bias) {
  const Matrix w = to_matrix(weight);
  Matrix out(x.rows, w.rows());
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < w.rows(); ++j) {
      double sum = bias.empty() ? 0.0 : bias[static_cast<size_t>(j)];
      for (int64_t k = 0; k < x.cols; ++k) sum += static_cast<double>(x(i, k)) * w(j, k);
      out(i, j) = static_cast<float>(sum);
    }
  return out;
}

struct Narrow {
  std::vector<uint16_t> bits;
  TensorView view;
};

Narrow narrow(const Matrix& w, DType dtype) {
  Narrow result;
  for (int64_t i = 0; i < w.size(); ++i)
    result.bits.push_back(dtype == DType::kBF16 ? f32_to_bf16(w.data()[i])
                                                : f32_to_f16(w.data()[i]));
  result.view = {dtype, {w.rows(), w.cols()}, result.bits.data()};
  return result;
}

const int64_t kTokens[] = {1, 2, 8, 9, 33};

TEST(Matmul, MatchesFp64ForEveryTypeAndSize) {
  Rng rng(1);
  for (const auto& [in_dim, out_dim] :
       {std::pair<int64_t, int64_t>{1, 1}, {48, 80}, {67, 33}, {130, 1040}}) {
    const Matrix w = random_matrix(rng, out_dim, in_dim);
    const Matrix bias = random_matrix(rng, 1, out_dim);
    const std::span<const float> with = {bias.data(), static_cast<size_t>(out_dim)};
    const Narrow half = narrow(w, DType::kF16), brain = narrow(w, DType::kBF16);
    for (const int64_t tokens : kTokens)
      for (const TensorView& weight : {view_of(w), half.view, brain.view})
        for (const auto& b : {with, std::span<const float>{}}) {
          const Matrix x = random_matrix(rng, tokens, in_dim);
          Matrix out(tokens, out_dim);
          matmul_transposed(x.view(), weight, b, out.view(), false);
          EXPECT_LT(relative_error(out.view(), reference(x.view(), weight, b).view()), 2e-6)
              << tokens << " x " << in_dim << " -> " << out_dim << " " << dtype_name(weight.dtype);
        }
  }
}

TEST(Matmul, ReadsAndWritesStridedRows) {
  Rng rng(2);
  const Matrix w = random_matrix(rng, 24, 40);
  for (const int64_t tokens : kTokens) {
    const Matrix x = random_matrix(rng, tokens, 50);
    Matrix out = Matrix::zeros(tokens, 30);
    const ConstFloatView part = x.view().cols_from(5, 40);
    matmul_transposed(part, view_of(w), {}, out.view().cols_from(3, 24), false);
    EXPECT_LT(relative_error(out.view().cols_from(3, 24), reference(part, view_of(w), {}).view()),
              2e-6);
    for (int64_t i = 0; i < tokens; ++i) EXPECT_EQ(out(i, 2) + out(i, 27), 0.0f);
  }
}

TEST(Matmul, Bf16OperandsRoundOnlyTheInput) {
  Rng rng(3);
  const Narrow w = narrow(random_matrix(rng, 64, 96), DType::kBF16);
  Matrix x = random_matrix(rng, 40, 96);
  Matrix out(40, 64);
  matmul_transposed(x.view(), w.view, {}, out.view(), true);
  if (has_fast_bf16())
    for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = bf16_to_f32(f32_to_bf16(x.data()[i]));
  EXPECT_LT(relative_error(out.view(), reference(x.view(), w.view, {}).view()), 2e-6);
}

TEST(Matmul, NothingToDo) {
  const Matrix w(4, 3);
  Matrix out(0, 4);
  const Matrix x(0, 3);
  EXPECT_NO_THROW(matmul_transposed(x.view(), view_of(w), {}, out.view(), false));
}

TEST(Matmul, RejectsWhatDoesNotFit) {
  const Matrix x = Matrix::zeros(2, 3), w = Matrix::zeros(4, 3);
  Matrix out(2, 4), wrong(2, 5);
  const std::vector<float> bias(3);
  TensorView integers = view_of(w);
  integers.dtype = DType::kI32;
  EXPECT_THROW(matmul_transposed(x.view(), view_of(w), {}, wrong.view(), false),
               std::invalid_argument);
  EXPECT_THROW(matmul_transposed(x.view(), view_of(x), {}, out.view(), false),
               std::invalid_argument);
  EXPECT_THROW(matmul_transposed(x.view(), view_of(w), bias, out.view(), false),
               std::invalid_argument);
  EXPECT_THROW(matmul_transposed(x.view(), integers, {}, out.view(), false), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
