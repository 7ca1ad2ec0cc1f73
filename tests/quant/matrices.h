#pragma once
// Matrices for the tests of this layer.
#include <algorithm>
#include <cmath>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/core/tensor.h"

namespace stamp {

/// Standard normal entries plus `offset`.
inline Matrix random_matrix(int64_t rows, int64_t cols, uint64_t seed = 1, double offset = 0) {
  Rng rng(seed);
  Matrix x(rows, cols);
  for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(rng.normal() + offset);
  return x;
}

inline Matrix column(const std::vector<float>& values) {
  Matrix x(static_cast<int64_t>(values.size()), 1);
  std::copy(values.begin(), values.end(), x.data());
  return x;
}

inline Matrix row(const std::vector<float>& values) {
  Matrix x(1, static_cast<int64_t>(values.size()));
  std::copy(values.begin(), values.end(), x.data());
  return x;
}

/// a b in fp64.
inline Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c(a.rows(), b.cols());
  for (int64_t i = 0; i < a.rows(); ++i) {
    for (int64_t j = 0; j < b.cols(); ++j) {
      double sum = 0;
      for (int64_t k = 0; k < a.cols(); ++k) sum += double{a(i, k)} * b(k, j);
      c(i, j) = static_cast<float>(sum);
    }
  }
  return c;
}

inline double largest_difference(const Matrix& a, const Matrix& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return HUGE_VAL;
  double largest = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(double{a.data()[i]} - b.data()[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

inline double squared_norm(ConstFloatView x) {
  double sum = 0;
  for (int64_t i = 0; i < x.rows; ++i) {
    for (int64_t j = 0; j < x.cols; ++j) sum += double{x(i, j)} * x(i, j);
  }
  return sum;
}

}  // namespace stamp
