#include "stamp/quant/weight_quant.h"

#include <gtest/gtest.h>

#include "stamp/quant/row_quantizer.h"
#include "stamp/quant/stored_weight.h"
#include "tests/quant/matrices.h"

namespace stamp {
namespace {

Matrix quantized(const Matrix& w, const WeightSpec& spec) {
  Matrix y = w;
  fake_quantize_weight(y.view(), spec);
  return y;
}

double error_2_4(const float* a, const float* b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::pow(std::abs(double{a[i]} - b[i]), 2.4);
  return sum;
}

/// The clip search by definition, fp64 throughout.
std::vector<float> searched_row(std::span<const float> w, const WeightSpec& spec) {
  std::vector<float> best;
  double best_error = HUGE_VAL;
  for (int i = 0; i < 80; ++i) {
    std::vector<float> y(w.begin(), w.end());
    fake_quantize_row(y, spec.bits, {.symmetric = spec.symmetric, .clip = 1 - i / 100.0});
    const double error = error_2_4(w.data(), y.data(), static_cast<int64_t>(y.size()));
    if (error < best_error * (1 - 1e-6)) {
      best_error = error;
      best = y;
    }
  }
  return best;
}

TEST(WeightQuant, SixteenBitsChangeNothing) {
  const Matrix w = random_matrix(5, 12);
  EXPECT_EQ(largest_difference(w, quantized(w, {})), 0);
}

TEST(WeightQuant, PlainRoundingIsPerChannelOrGroup) {
  const Matrix w = random_matrix(6, 50);
  for (const int group : {0, 16}) {
    for (const bool symmetric : {false, true}) {
      Matrix expected = w;
      for (int64_t i = 0; i < 6; ++i) {
        fake_quantize_row(expected.view().row_span(i), 4, {.symmetric = symmetric, .block = group});
      }
      const WeightSpec spec{.bits = 4, .group = group, .symmetric = symmetric};
      EXPECT_EQ(largest_difference(expected, quantized(w, spec)), 0);
    }
  }
}

TEST(WeightQuant, ClipSearchFindsTheSmallestError) {
  const Matrix w = random_matrix(24, 200, 4);
  for (const bool symmetric : {false, true}) {
    for (const int bits : {2, 3, 4}) {
      const WeightSpec spec{.bits = bits, .symmetric = symmetric, .mse_clip = true};
      const Matrix y = quantized(w, spec);
      for (int64_t i = 0; i < w.rows(); ++i) {
        const std::vector<float> expected = searched_row(w.view().row_span(i), spec);
        const double got = error_2_4(w.row(i), y.row(i), 200);
        EXPECT_NEAR(got / error_2_4(w.row(i), expected.data(), 200), 1, 1e-5) << bits << " " << i;
      }
    }
  }
}

TEST(WeightQuant, ClipSearchHelpsWithOutliers) {
  Matrix w = random_matrix(8, 512);
  for (int64_t i = 0; i < 8; ++i) w(i, 3) = 9;
  const WeightSpec plain{.bits = 3}, clipped{.bits = 3, .mse_clip = true};
  const Matrix a = quantized(w, plain), b = quantized(w, clipped);
  EXPECT_LT(error_2_4(w.data(), b.data(), w.size()),
            0.95 * error_2_4(w.data(), a.data(), w.size()));
}

TEST(WeightQuant, TheNormDecidesWhatIsSmall) {
  const Matrix w = random_matrix(16, 300, 8);
  const auto squared = [&](const Matrix& y) {
    double sum = 0;
    for (int64_t i = 0; i < w.size(); ++i) sum += std::pow(double{w.data()[i]} - y.data()[i], 2);
    return sum;
  };
  const Matrix plain = quantized(w, {.bits = 3, .mse_clip = true, .clip_norm = 2}),
               steep = quantized(w, {.bits = 3, .mse_clip = true});
  EXPECT_LT(squared(plain), squared(steep));
  EXPECT_GT(error_2_4(w.data(), plain.data(), w.size()),
            error_2_4(w.data(), steep.data(), w.size()));
}

TEST(WeightQuant, LearnedSharesReplaceTheSearch) {
  const Matrix w = random_matrix(2, 64, 9);
  const std::vector<float> shares = {0.5f, 0.25f, 1, 1};
  Matrix y = w;
  fake_quantize_weight(y.view(), {.bits = 4, .mse_clip = true}, shares);
  Range range = range_of(w.view().row_span(0));
  const Grid grid = make_grid({range.low * 0.5f, range.high * 0.25f}, 4, true, 1.0f);
  for (int64_t j = 0; j < 64; ++j) EXPECT_EQ(y(0, j), grid_code(w(0, j), grid) * grid.scale);
  Matrix plain = w;
  fake_quantize_weight(plain.view(), {.bits = 4});
  for (int64_t j = 0; j < 64; ++j) EXPECT_EQ(y(1, j), plain(1, j));
  Matrix stored(2, 64);
  dequantize(quantize_weight(w.view(), {.bits = 4}, shares).view, 0, stored.view());
  EXPECT_EQ(largest_difference(stored, y), 0);
}

TEST(WeightQuant, SurvivesZerosAndValuesThatAreNotFinite) {
  Matrix w = Matrix::zeros(4, 8);
  w(1, 2) = std::numeric_limits<float>::infinity();
  w(2, 2) = std::numeric_limits<float>::quiet_NaN();
  w(3, 2) = 1e-42f;
  const Matrix y = quantized(w, {.bits = 4, .mse_clip = true});
  for (int64_t i = 0; i < y.size(); ++i) EXPECT_TRUE(std::isfinite(y.data()[i]));
  for (int64_t j = 0; j < 8; ++j) EXPECT_EQ(y(0, j), 0);
}

TEST(WeightQuant, CountsCodesAndScales) {
  EXPECT_EQ(weight_bits_per_element({}, 10, 10), 16);
  EXPECT_EQ(weight_bits_per_element({.bits = 4}, 10, 128), 4 + 16.0 / 128);
  EXPECT_EQ(weight_bits_per_element({.bits = 4, .group = 64, .symmetric = false}, 10, 128),
            4 + 24.0 / 64);
  EXPECT_EQ(weight_bits_per_element({.bits = 4, .group = 100}, 10, 128), 4 + 2 * 16.0 / 128);
}

}  // namespace
}  // namespace stamp
