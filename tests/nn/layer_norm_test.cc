#include "stamp/nn/layer_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "stamp/nn/gelu.h"
#include "tests/nn/random_matrix.h"

namespace stamp {
namespace {

TEST(LayerNorm, AgreesWithItsDefinition) {
  const int64_t rows = 5, cols = 37;
  const Matrix x = random_matrix(rows, cols, 1);
  const Matrix affine = random_matrix(2, cols, 2);
  const ChannelAffine given{{affine.row(0), affine.row(0) + cols},
                            {affine.row(1), affine.row(1) + cols}};
  Matrix out(rows, cols);
  layer_norm_rows(x.view(), given, 1e-3, out.view());
  for (int64_t i = 0; i < rows; ++i) {
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < cols; ++j) mean += x(i, j) / static_cast<double>(cols);
    for (int64_t j = 0; j < cols; ++j)
      variance += (x(i, j) - mean) * (x(i, j) - mean) / static_cast<double>(cols);
    for (int64_t j = 0; j < cols; ++j)
      EXPECT_NEAR(out(i, j),
                  (x(i, j) - mean) / std::sqrt(variance + 1e-3) * affine(0, j) + affine(1, j),
                  1e-5);
  }
  Matrix wrong(rows, cols + 1);
  EXPECT_THROW(layer_norm_rows(x.view(), given, 1e-3, wrong.view()), std::invalid_argument);
  EXPECT_THROW(layer_norm_rows(x.view(), {{1.0f}, {0.0f}}, 1e-3, out.view()),
               std::invalid_argument);
}

TEST(Gelu, FormsAgreeWithTheirDefinitions) {
  Matrix exact(1, 401), quick(1, 401);
  for (int64_t i = 0; i < 401; ++i)
    exact(0, i) = quick(0, i) = static_cast<float>(i - 200) * 0.25f;  // -50 .. 50
  exact_gelu(exact.view());
  quick_gelu(quick.view());
  for (int64_t i = 0; i < 401; ++i) {
    const double x = static_cast<double>(i - 200) * 0.25;
    EXPECT_NEAR(exact(0, i), x / 2 * std::erfc(-x / std::numbers::sqrt2), 2e-6 * (1 + std::abs(x)));
    EXPECT_NEAR(quick(0, i), x / (1 + std::exp(-1.702 * x)), 2e-6 * (1 + std::abs(x)));
  }
}

}  // namespace
}  // namespace stamp
