#include "stamp/quant/klt.h"

#include <gtest/gtest.h>

#include "tests/quant/matrices.h"
#include "tests/quant/transform_params.h"

namespace stamp {
namespace {

TransformParams params_with(int64_t tokens) {
  TransformParams params;
  params.basis = decaying_basis(tokens);
  return params;
}

/// Rows whose covariance is 0.9^|i - j|.
Matrix decaying(int64_t tokens, int64_t cols) {
  Matrix x = random_matrix(tokens, cols);
  for (int64_t i = 1; i < tokens; ++i)
    for (int64_t c = 0; c < cols; ++c)
      x(i, c) = 0.9f * x(i - 1, c) + std::sqrt(1 - 0.81f) * x(i, c);
  return x;
}

TEST(KltBasis, DiagonalisesTheCovarianceInDescendingOrder) {
  const KltBasis basis(decaying_covariance(24));
  for (const int64_t n : {1, 7, 24}) {
    const auto v = basis.vectors(n);
    Matrix s(n, n);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) s(i, j) = std::pow(0.9f, static_cast<float>(std::abs(i - j)));
    const Matrix diagonal = product(product(v->rows, s), v->columns);
    for (int64_t i = 0; i < n; ++i) {
      if (i > 0) {
        EXPECT_GE(diagonal(i - 1, i - 1), diagonal(i, i));
      }
      for (int64_t j = 0; j < n; ++j)
        if (i != j) {
          EXPECT_NEAR(diagonal(i, j), 0, 1e-5);
        }
    }
  }
}

TEST(Klt, DecorrelatesWhatItWasMadeFor) {
  Matrix x = decaying(16, 20000);
  klt_forward(x.view(), params_with(16));
  for (const auto& [a, b] : {std::pair{0, 1}, {2, 9}, {14, 15}}) {
    double cross = 0;
    for (int64_t c = 0; c < x.cols(); ++c) cross += double{x(a, c)} * x(b, c);
    const double energies =
        squared_norm(x.view().rows_from(a, 1)) * squared_norm(x.view().rows_from(b, 1));
    EXPECT_NEAR(cross / std::sqrt(energies), 0, 0.03) << a << " " << b;
  }
}

/// Two whole blocks of 8 and a rest of 4: place 0 of each comes first.
TEST(Klt, SortsBlocksByRelativePlace) {
  const Matrix x = decaying(20, 3);
  Matrix whole = x;
  klt_forward(whole.view(), params_with(8));
  int64_t row = 0;
  for (const int64_t place : {0, 1, 2, 3, 4, 5, 6, 7}) {
    for (const int64_t first : {0, 8, 16}) {
      const int64_t count = std::min<int64_t>(8, 20 - first);
      if (count == 4 && place % 2 == 1) continue;
      Matrix block = Matrix::copy_of(x.view().rows_from(first, count));
      klt_forward(block.view(), params_with(8));
      const int64_t at = count == 4 ? place / 2 : place;
      for (int64_t c = 0; c < 3; ++c) EXPECT_NEAR(whole(row, c), block(at, c), 1e-6);
      ++row;
    }
  }
  EXPECT_EQ(row, 20);
}

TEST(KltBasis, RefusesWhatIsNoCovariance) {
  EXPECT_THROW(KltBasis({}), std::invalid_argument);
  EXPECT_THROW(KltBasis(std::vector<float>(5)), std::invalid_argument);
  EXPECT_THROW(KltBasis({std::numeric_limits<float>::quiet_NaN()}), std::invalid_argument);
  Matrix x = random_matrix(8, 2);
  EXPECT_THROW(klt_forward(x.view(), {}), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
