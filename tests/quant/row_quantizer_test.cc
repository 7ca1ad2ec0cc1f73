#include "stamp/quant/row_quantizer.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "stamp/core/dtype.h"
#include "tests/quant/matrices.h"

namespace stamp {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Matrix quantized(const Matrix& x, int bits, const QuantizerSpec& spec = {}, int64_t group = 0) {
  Matrix y = x;
  for (int64_t i = 0; i < y.rows(); ++i) fake_quantize_row(y.view().row_span(i), bits, spec, group);
  return y;
}

TEST(Grid, AsymmetricByHand) {
  const Grid grid = make_grid({-1, 2}, 2, false, 1);  // s = 1, z = 1
  EXPECT_EQ(grid.scale, 1);
  EXPECT_EQ(grid.zero_point(), 1);
  EXPECT_EQ(grid.high, 2);
  const Matrix y = quantized(row({-1, -0.5f, 0.5f, 0.51f, 1.5f, 2}), 2);
  EXPECT_EQ(largest_difference(y, row({-1, 0, 0, 1, 2, 2})), 0);  // ties go to even
}

TEST(Grid, SymmetricByHand) {
  const Grid grid = make_grid({-14, 7}, 4, true, 1);
  EXPECT_EQ(grid.scale, 2);
  EXPECT_EQ(grid.low, -8);
  EXPECT_EQ(grid.high, 7);
  const Matrix y = quantized(row({-14, 7, 3, 1}), 4, {.symmetric = true});
  EXPECT_EQ(largest_difference(y, row({-14, 8, 4, 0})), 0);
}

TEST(Grid, CodeRoundsHalfToEvenExactly) {
  const Grid grid{1, -100, 155};
  Rng rng(3);
  for (int i = 0; i < 20000; ++i) {
    const float value = static_cast<float>(
        i % 2 == 0 ? (rng.uniform() - 0.4) * 250 : static_cast<double>(rng.below(500)) / 2 - 100);
    EXPECT_EQ(grid_code(value, grid), std::clamp(std::nearbyint(value), -100.0f, 155.0f));
  }
}

TEST(Grid, ScalesAreFp16AndNeverZeroOrInfinite) {
  for (const bool symmetric : {false, true}) {
    for (const float width : {0.0f, 1e-45f, 1e-9f, 1e-3f, 0.7f, 1e6f, 1e30f, kInfinity}) {
      const Grid grid = make_grid({-width, width / 3}, 4, symmetric, 0.9f);
      EXPECT_GT(grid.scale, 0);
      EXPECT_LE(grid.scale, 65504);
      EXPECT_EQ(grid.scale, round_to_f16(grid.scale));
      EXPECT_LE(grid.low, 0);
      EXPECT_EQ(grid.high - grid.low, 15);
      EXPECT_GE(grid.high, 0);
    }
  }
}

TEST(FakeQuantizeRow, ErrorIsAtMostHalfAStep) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (const bool symmetric : {false, true}) {
      const Matrix x = random_matrix(40, 96, static_cast<uint64_t>(bits), bits - 5);
      const Matrix y = quantized(x, bits, {.symmetric = symmetric});
      for (int64_t i = 0; i < x.rows(); ++i) {
        const Grid grid = make_grid(range_of(x.view().row_span(i)), bits, symmetric, 1);
        // The fp16 scale may fall short of the range by 2^-11 of it.
        const double bound = grid.scale * (0.5 + (1 << bits) * 0x1p-11) + 1e-6;
        for (int64_t j = 0; j < x.cols(); ++j)
          ASSERT_LE(std::abs(x(i, j) - y(i, j)), bound) << bits;
      }
    }
  }
}

TEST(FakeQuantizeRow, UsesAtMostTwoToTheBitsValues) {
  for (int bits = 2; bits <= 8; ++bits) {
    const Matrix y = quantized(random_matrix(1, 5000), bits, {.symmetric = false, .clip = 0.7});
    const std::set<float> values(y.data(), y.data() + y.size());
    EXPECT_LE(values.size(), size_t{1} << bits);
    EXPECT_GT(values.size(), size_t{1} << (bits - 1));
  }
}

TEST(FakeQuantizeRow, IsIdempotentWhereTheRangeIsReached) {
  for (const int bits : {2, 3, 4, 8}) {
    const Matrix x = random_matrix(30, 64);
    const Matrix symmetric = quantized(x, bits, {.symmetric = true});
    EXPECT_EQ(largest_difference(symmetric, quantized(symmetric, bits, {.symmetric = true})), 0);
    Matrix positive = x;
    for (int64_t i = 0; i < x.size(); ++i) positive.data()[i] = std::abs(x.data()[i]);
    const Matrix once = quantized(positive, bits);
    EXPECT_EQ(largest_difference(once, quantized(once, bits)), 0) << bits;
  }
}

TEST(FakeQuantizeRow, ClipShrinksTheRange) {
  const Matrix y = quantized(row({-4, -1, 0, 1, 8}), 4, {.symmetric = false, .clip = 0.5});
  EXPECT_NEAR(y(0, 0), -2, 0.21);
  EXPECT_NEAR(y(0, 4), 4, 0.21);
}

TEST(FakeQuantizeRow, WideRowsKeepTheirRange) {
  const Matrix x = random_matrix(4, 64);
  for (const int bits : {5, 8})
    EXPECT_EQ(largest_difference(quantized(x, bits, {.clip = 0.5}), quantized(x, bits)), 0);
}

TEST(FakeQuantizeRow, GroupsAndBlocksHaveTheirOwnScales) {
  const Matrix x = random_matrix(3, 70);
  const auto expect_pieces = [&](const std::vector<int64_t>& cuts, const QuantizerSpec& spec,
                                 int64_t group) {
    const Matrix y = quantized(x, 4, spec, group);
    for (size_t c = 0; c + 1 < cuts.size(); ++c) {
      Matrix piece = Matrix::copy_of(x.view().cols_from(cuts[c], cuts[c + 1] - cuts[c]));
      piece = quantized(piece, 4);
      const Matrix part = Matrix::copy_of(y.view().cols_from(cuts[c], cuts[c + 1] - cuts[c]));
      EXPECT_EQ(largest_difference(piece, part), 0) << cuts[c];
    }
    EXPECT_EQ(scale_group_count(70, group, spec.block), static_cast<int64_t>(cuts.size()) - 1);
  };
  expect_pieces({0, 70}, {}, 0);
  expect_pieces({0, 35, 70}, {}, 35);
  expect_pieces({0, 32, 64, 70}, {.block = 32}, 0);
  expect_pieces({0, 20, 35, 55, 70}, {.block = 20}, 35);
}

TEST(FakeQuantizeRow, ZeroBitsDropAndSixteenKeep) {
  const Matrix x = random_matrix(2, 9);
  EXPECT_EQ(largest_difference(quantized(x, 0), Matrix::zeros(2, 9)), 0);
  EXPECT_EQ(largest_difference(quantized(x, 16), x), 0);
}

TEST(FakeQuantizeRow, SurvivesZerosTinyHugeAndNotFiniteValues) {
  for (const bool symmetric : {false, true}) {
    for (const auto& values : std::vector<std::vector<float>>{{0, 0, 0},
                                                              {1e-44f, -1e-40f, 0},
                                                              {3e38f, -3e38f, 1},
                                                              {kInfinity, 1, -2},
                                                              {-kInfinity, kInfinity, 0},
                                                              {kNaN, 1, -1},
                                                              {kNaN, kNaN, kNaN}}) {
      const Matrix y = quantized(row(values), 4, {.symmetric = symmetric});
      for (int64_t i = 0; i < 3; ++i) EXPECT_TRUE(std::isfinite(y(0, i)));
    }
  }
  EXPECT_EQ(largest_difference(quantized(Matrix::zeros(1, 5), 4), Matrix::zeros(1, 5)), 0);
  fake_quantize_row({}, 4, {});
}

TEST(RowRange, IsTheMeanSquaredWidthWithZeroInside) {
  const std::vector<float> values = {1, 3, -1, 3};
  EXPECT_EQ(row_range2(values, {}), 16);
  EXPECT_EQ(row_range2(values, {.symmetric = true}), 36);
  EXPECT_EQ(row_range2(values, {}, 2), (9 + 16) / 2.0);
}

}  // namespace
}  // namespace stamp
