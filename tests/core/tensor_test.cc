#include "stamp/core/tensor.h"

#include <gtest/gtest.h>

namespace stamp {
namespace {

TEST(Tensor, ElementCountRefusesOverflowAndNegativeSizes) {
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({5, 0}), 0);
  EXPECT_THROW(element_count({int64_t{1} << 40, int64_t{1} << 40}), std::invalid_argument);
  EXPECT_THROW(element_count({2, -1}), std::invalid_argument);
}

TEST(Tensor, MatrixCopiesAreIndependentAndMovesAreNot) {
  Matrix a = Matrix::zeros(2, 3);
  Matrix b = a;
  b(1, 2) = 5;
  EXPECT_EQ(a(1, 2), 0);
  const float* memory = b.data();
  const Matrix c = std::move(b);
  EXPECT_EQ(c.data(), memory);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % 64, 0u);
}

TEST(Tensor, ViewsSelectRowsAndColumns) {
  Matrix m(3, 4);
  for (int64_t i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(i);
  const FloatView part = m.view().rows_from(1, 2).cols_from(2, 2);
  EXPECT_EQ(part(0, 0), 6);
  EXPECT_EQ(part(1, 1), 11);
  const Matrix copy = Matrix::copy_of(part);
  EXPECT_EQ(copy(1, 0), 10);
}

TEST(Tensor, WidensEveryFloatingType) {
  const bf16 values[] = {0x3f80, 0xc000};  // 1, -2
  const f16 halves[] = {0x3c00, 0xc000};
  const double doubles[] = {1, -2};
  for (const TensorView& view :
       {TensorView{DType::kBF16, {2}, values}, TensorView{DType::kF16, {2}, halves},
        TensorView{DType::kF64, {2}, doubles}}) {
    const Matrix m = to_matrix(view);
    EXPECT_EQ(m.rows(), 1);
    EXPECT_EQ(m(0, 0), 1);
    EXPECT_EQ(m(0, 1), -2);
  }
  const int64_t integers[] = {1, 2};
  EXPECT_THROW(to_matrix({DType::kI64, {2}, integers}), std::invalid_argument);
  float out[2];
  EXPECT_THROW(to_f32({DType::kBF16, {2}, values}, 1, out), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
