#pragma once
// Inputs of the tests of this folder.
#include <gtest/gtest.h>

#include "stamp/core/rng.h"
#include "stamp/core/tensor.h"

namespace stamp {

inline Matrix random_matrix(Rng& rng, int64_t rows, int64_t cols, double scale = 1.0) {
  Matrix result(rows, cols);
  for (int64_t i = 0; i < result.size(); ++i)
    result.data()[i] = static_cast<float>(scale * rng.normal());
  return result;
}

inline Matrix random_matrix(int64_t rows, int64_t cols, uint64_t seed) {
  Rng rng(seed);
  return random_matrix(rng, rows, cols);
}

/// Rows that drift slowly, as neighbouring tokens do.
inline Matrix smooth_matrix(Rng& rng, int64_t rows, int64_t cols) {
  Matrix result = random_matrix(rng, rows, cols);
  for (int64_t i = 1; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) result(i, j) = 0.9f * result(i - 1, j) + 0.3f * result(i, j);
  return result;
}

inline TensorView view_of(const Matrix& matrix) {
  return {DType::kF32, {matrix.rows(), matrix.cols()}, matrix.data()};
}

/// max |got - want| / max |want|.
inline double relative_error(ConstFloatView got, ConstFloatView want) {
  EXPECT_EQ(got.rows, want.rows);
  EXPECT_EQ(got.cols, want.cols);
  double error = 0, largest = 1e-30;
  for (int64_t i = 0; i < want.rows; ++i)
    for (int64_t j = 0; j < want.cols; ++j) {
      error = std::max(error, std::abs(static_cast<double>(got(i, j)) - want(i, j)));
      largest = std::max(largest, std::abs(static_cast<double>(want(i, j))));
    }
  return error / largest;
}

}  // namespace stamp
