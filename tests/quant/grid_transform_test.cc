#include "stamp/quant/grid_transform.h"

#include <gtest/gtest.h>

#include <set>

#include "stamp/quant/haar.h"
#include "tests/quant/matrices.h"

namespace stamp {
namespace {

TransformParams params_of(int levels, int64_t width) {
  TransformParams params(levels);
  params.grid_width = width;
  return params;
}

TEST(Grid, IsAsSquareAsTheTokensAllow) {
  for (const auto& [tokens, width] :
       {std::pair{1, 1}, {2, 2}, {12, 4}, {64, 8}, {240, 16}, {1024, 32}, {13, 13}, {4000, 80}}) {
    EXPECT_EQ(grid_of(tokens, 0).width, width) << tokens;
    EXPECT_EQ(grid_of(tokens, 0).height, tokens / width);
  }
  EXPECT_EQ(grid_of(4050, 90).height, 45);
  EXPECT_THROW(grid_of(64, 10), std::invalid_argument);
}

TEST(Haar2d, OneLevelOfATwoByTwoImage) {
  Matrix x = column({1, 2, 4, 9});  // [[1, 2], [4, 9]]
  haar2d_forward(x.view(), params_of(1, 2));
  EXPECT_NEAR(x(0, 0), 8, 1e-6);   // LL
  EXPECT_NEAR(x(1, 0), -5, 1e-6);  // cH: upper minus lower row
  EXPECT_NEAR(x(2, 0), -3, 1e-6);  // cV: left minus right column
  EXPECT_NEAR(x(3, 0), 2, 1e-6);   // cD
}

TEST(Haar2d, SubbandsCoverEveryGrid) {
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 7}, {5, 3}, {12, 20}, {16, 16}}) {
    for (const int levels : {0, 1, 2, 9}) {
      int64_t next = 0;
      for (const Band& band : haar2d_bands(height * width, params_of(levels, width))) {
        EXPECT_EQ(band.first, next);
        EXPECT_GE(band.count, 1);
        next += band.count;
      }
      EXPECT_EQ(next, height * width);
    }
  }
}

/// A smooth image leaves nearly all of its energy in the first sub-band, which one dimension would
/// not.
TEST(Haar2d, GathersSmoothImages) {
  const int64_t side = 32;
  Matrix x(side * side, 1);
  for (int64_t i = 0; i < side; ++i)
    for (int64_t j = 0; j < side; ++j)
      x(i * side + j, 0) =
          std::sin(0.2f * static_cast<float>(i)) + std::cos(0.15f * static_cast<float>(j));
  Matrix plain = x;
  haar_forward(plain.view(), 4);
  haar2d_forward(x.view(), params_of(2, side));
  const double total = squared_norm(x.view());
  EXPECT_GT(squared_norm(x.view().rows_from(0, 64)), 0.95 * total);
  EXPECT_LT(squared_norm(plain.view().rows_from(0, 64)), 0.9 * total);
}

TEST(Haar2d, OneRowIsHaar) {
  const Matrix x = random_matrix(37, 2);
  Matrix flat = x, line = x;
  haar2d_forward(flat.view(), params_of(3, 37));
  haar_forward(line.view(), 3);
  EXPECT_EQ(largest_difference(flat, line), 0);
}

/// Patch by patch the lifting gives the very numbers, and takes them back.
TEST(Haar2d, LiftsPatchByPatch) {
  for (const auto& [height, width, levels] :
       {std::tuple{2, 2, 1}, {8, 8, 3}, {8, 16, 1}, {16, 8, 2}, {12, 20, 2}, {32, 32, 4}}) {
    const Matrix x = random_matrix(height * width, 70);
    Matrix expected = x;
    haar2d_forward(expected.view(), params_of(levels, width));
    const GridPatches patches = haar2d_patches(height * width, params_of(levels, width));
    ASSERT_EQ(patches.tokens.size(), static_cast<size_t>(height * width));
    ASSERT_EQ(patches.rows.size(), patches.tokens.size());
    const int64_t size = patches.patch_rows();
    ASSERT_EQ(size, int64_t{1} << 2 * levels);
    Matrix lifted(height * width, 70), back(height * width, 70), dense(size, 70), wide(size, 90);
    for (const FloatView patch : {wide.view().cols_from(5, 70), dense.view()})
      for (int64_t first = 0; first < x.rows(); first += size) {
        for (int64_t i = 0; i < size; ++i)
          std::copy_n(x.row(patches.tokens[static_cast<size_t>(first + i)]), 70, patch.row(i));
        haar2d_lift(patch, levels);
        for (int64_t i = 0; i < size; ++i)
          std::copy_n(patch.row(i), 70, lifted.row(patches.rows[static_cast<size_t>(first + i)]));
        haar2d_unlift(patch, levels);
        for (int64_t i = 0; i < size; ++i)
          std::copy_n(patch.row(i), 70, back.row(patches.tokens[static_cast<size_t>(first + i)]));
      }
    EXPECT_EQ(largest_difference(lifted, expected), 0) << height << " x " << width << " " << levels;
    EXPECT_LT(largest_difference(back, x), 1e-5);
  }
  for (const auto& [tokens, width, levels] :
       {std::tuple{60, 6, 2}, {64, 8, 9}, {7, 7, 1}, {64, 8, 0}})
    EXPECT_EQ(haar2d_patches(tokens, params_of(levels, width)).tokens.empty(), levels != 9);
}

/// The row of frequencies (u, v) is the outer product of cosines.
TEST(Dct2d, SeparatesFrequenciesInAscendingOrder) {
  const int64_t height = 6, width = 10;
  std::multiset<double> frequencies;
  double last = 0;
  for (int64_t k = 0; k < height * width; ++k) {
    Matrix x = Matrix::zeros(height * width, 1);
    x(k, 0) = 1;
    dct2d_inverse(x.view(), params_of(0, width));
    // Half the sign changes along each axis tell u and v.
    int64_t u = 0, v = 0;
    for (int64_t i = 1; i < height; ++i) u += x(i * width, 0) * x((i - 1) * width, 0) < 0;
    for (int64_t j = 1; j < width; ++j) v += x(j, 0) * x(j - 1, 0) < 0;
    const double frequency = static_cast<double>(u) / height + static_cast<double>(v) / width;
    EXPECT_GE(frequency, last - 1e-9) << k;
    last = frequency;
    for (int64_t i = 0; i < height; ++i)
      for (int64_t j = 0; j < width; ++j) {
        const double expected =
            std::cos(M_PI * (2 * i + 1) * u / (2.0 * height)) * (u == 0 ? std::sqrt(0.5) : 1) *
            std::cos(M_PI * (2 * j + 1) * v / (2.0 * width)) * (v == 0 ? std::sqrt(0.5) : 1) * 2 /
            std::sqrt(static_cast<double>(height * width));
        EXPECT_NEAR(x(i * width + j, 0), expected, 1e-5);
      }
  }
}

}  // namespace
}  // namespace stamp
