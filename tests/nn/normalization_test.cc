#include "stamp/nn/normalization.h"

#include <gtest/gtest.h>

#include <cmath>

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

TEST(PixelMaps, PlanesAndPixels) {
  const std::vector<float> planes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};  // [2, 2, 3]
  const PixelMap map = from_planes(planes, 2, 2, 3);
  EXPECT_EQ(map.pixels(0, 0), 1);
  EXPECT_EQ(map.pixels(0, 1), 7);
  EXPECT_EQ(map.pixels(4, 1), 11);
  EXPECT_EQ(to_planes(map), planes);
  EXPECT_THROW(from_planes(planes, 3, 2, 3), std::invalid_argument);
}

TEST(Normalization, GroupNormHasMeanZeroAndVarianceOne) {
  PixelMap x(37, 41, 12);
  x.pixels = random_matrix(37 * 41, 12, 1);
  for (int64_t i = 0; i < x.pixels.rows(); ++i) x.pixels(i, 5) += 1000.0f;
  const ChannelAffine affine{std::vector<float>(12, 2.0f), std::vector<float>(12, 3.0f)};
  const ChannelAffine norm = group_norm(x, 4, affine, 1e-6);
  for (size_t group = 0; group < 4; ++group) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < x.pixels.rows(); ++i)
      for (size_t c = group * 3; c < group * 3 + 3; ++c) {
        const double y =
            double{x.pixels(i, static_cast<int64_t>(c))} * norm.weight[c] + norm.bias[c];
        sum += y;
        squares += (y - 3) * (y - 3);
      }
    const double count = 3.0 * static_cast<double>(x.pixels.rows());
    EXPECT_NEAR(sum / count, 3.0, 1e-3);
    EXPECT_NEAR(squares / count, 4.0, 1e-3);
  }
  EXPECT_THROW(group_norm(x, 5, affine, 1e-6), std::invalid_argument);
}

TEST(Normalization, EpsilonCounts) {
  PixelMap x(1, 2, 1);
  x.pixels(0, 0) = 1e-3f;
  x.pixels(1, 0) = -1e-3f;
  const ChannelAffine one{{1.0f}, {0.0f}};
  EXPECT_NEAR(group_norm(x, 1, one, 1e-6).weight[0], 1 / std::sqrt(2e-6), 1e-1);
}

TEST(Normalization, ModulatedLayerNorm) {
  const Matrix x = random_matrix(5, 20, 2);
  const std::vector<float> scale(20, 0.5f), shift(20, -1.0f);
  Matrix y(5, 20);
  modulated_layer_norm(x.view(), scale, shift, 1e-6, y.view());
  for (int64_t i = 0; i < 5; ++i) {
    double sum = 0, squares = 0;
    for (int64_t j = 0; j < 20; ++j) sum += y(i, j);
    for (int64_t j = 0; j < 20; ++j) squares += (y(i, j) + 1.0) * (y(i, j) + 1.0);
    EXPECT_NEAR(sum / 20, -1.0, 1e-5);
    EXPECT_NEAR(squares / 20, 2.25, 1e-4);
  }
  EXPECT_THROW(modulated_layer_norm(x.view(), std::span(scale).first(3), shift, 1e-6, y.view()),
               std::invalid_argument);
}

TEST(Normalization, RmsNormOfPixels) {
  PixelMap x(1, 2, 2);
  x.pixels(0, 0) = 3;
  x.pixels(0, 1) = 4;
  x.pixels(1, 0) = x.pixels(1, 1) = 0;
  rms_norm_pixels(x, {{1, 2}, {0.5f, -1}}, 1e-12);
  EXPECT_NEAR(x.pixels(0, 0), 3 / std::sqrt(12.5) + 0.5, 1e-5);
  EXPECT_NEAR(x.pixels(0, 1), 8 / std::sqrt(12.5) - 1, 1e-5);
  EXPECT_NEAR(x.pixels(1, 1), -1, 1e-6);
}

}  // namespace
}  // namespace stamp
