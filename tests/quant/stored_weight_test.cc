#include "stamp/quant/stored_weight.h"

#include <gtest/gtest.h>

#include <limits>

#include "stamp/quant/weight_quant.h"
#include "tests/quant/matrices.h"

namespace stamp {
namespace {

Matrix restored(const StoredWeight& weight) {
  Matrix result(weight.out_dim, weight.in_dim);
  dequantize(weight, 0, result.view());
  return result;
}

TEST(StoredWeight, IsTheSimulatedWeightBitForBit) {
  for (const int64_t cols : {1, 7, 8, 64, 100, 129, 513}) {
    const Matrix w = random_matrix(9, cols);
    for (const int bits : {2, 3, 4, 5, 8})
      for (const int group : {0, 16, 64, 4096})
        for (const bool clip : {false, true}) {
          const WeightSpec spec{.bits = bits, .group = group, .mse_clip = clip};
          Matrix expected = w;
          fake_quantize_weight(expected.view(), spec);
          const StoredWeightBuffer stored = quantize_weight(w.view(), spec);
          EXPECT_NO_THROW(check(stored.view, "w"));
          EXPECT_EQ(largest_difference(expected, restored(stored.view)), 0)
              << cols << " " << bits << " " << group << " " << clip;
        }
  }
}

TEST(StoredWeight, SurvivesZerosAndValuesThatAreNotFinite) {
  Matrix w = Matrix::zeros(4, 8);
  w(1, 2) = std::numeric_limits<float>::infinity();
  w(2, 2) = std::numeric_limits<float>::quiet_NaN();
  w(3, 2) = 1e-42f;
  Matrix expected = w;
  const WeightSpec spec{.bits = 4, .mse_clip = true};
  fake_quantize_weight(expected.view(), spec);
  EXPECT_EQ(largest_difference(expected, restored(quantize_weight(w.view(), spec).view)), 0);
}

TEST(StoredWeight, PacksLowestFieldFirstWithAnOffset) {
  Matrix w(1, 10);
  for (int64_t k = 0; k < 10; ++k) w(0, k) = static_cast<float>(k - 3);
  w(0, 9) = -7;  // the scale is 1
  const StoredWeightBuffer four = quantize_weight(w.view(), {.bits = 4});
  EXPECT_EQ(four.view.packed.shape, (Shape{1, 2}));
  const auto* words = four.view.packed.as<uint32_t>();
  EXPECT_EQ(words[0], 0xcba98765u);  // -3 .. 4, plus 8
  EXPECT_EQ(words[1], 0x0000001du);  // 5 and -7, then unused fields
  EXPECT_EQ(f16_to_f32(four.view.scale.as<f16>()[0]), 1.0f);
  Matrix wide(1, 5);
  for (int64_t k = 0; k < 5; ++k) wide(0, k) = static_cast<float>(k);
  wide(0, 4) = 127;
  const StoredWeightBuffer eight = quantize_weight(wide.view(), {.bits = 8});
  EXPECT_EQ(eight.view.packed.as<uint32_t>()[0], 0x83828180u);
  EXPECT_EQ(eight.view.packed.as<uint32_t>()[1], 0x000000ffu);
}

TEST(StoredWeight, DequantizesARangeOfRows) {
  const Matrix w = random_matrix(6, 20);
  const StoredWeightBuffer stored = quantize_weight(w.view(), {.bits = 4, .group = 8});
  const Matrix all = restored(stored.view);
  Matrix part(2, 20);
  dequantize(stored.view, 3, part.view());
  EXPECT_EQ(largest_difference(part, Matrix::copy_of(all.view().rows_from(3, 2))), 0);
}

TEST(StoredWeight, RefusesWhatHasNoStoredForm) {
  const Matrix w = random_matrix(2, 8);
  EXPECT_THROW(quantize_weight(w.view(), {.bits = 16}), std::invalid_argument);
  EXPECT_THROW(quantize_weight(w.view(), {.bits = 4, .symmetric = false}), std::invalid_argument);
}

TEST(StoredWeight, CheckFindsWhatDoesNotFit) {
  const StoredWeightBuffer stored = quantize_weight(random_matrix(4, 40).view(), {.bits = 4});
  const auto refuses = [&](auto&& damage) {
    StoredWeight weight = stored.view;
    damage(weight);
    EXPECT_THROW(check(weight, "layer.w"), std::runtime_error);
  };
  EXPECT_NO_THROW(check(stored.view, "layer.w"));
  refuses([](StoredWeight& w) { w.bits = 3; });
  refuses([](StoredWeight& w) { w.bits = 8; });
  refuses([](StoredWeight& w) { w.group = -1; });
  refuses([](StoredWeight& w) { w.group = 16; });
  refuses([](StoredWeight& w) { w.in_dim = 41; });
  refuses([](StoredWeight& w) { w.in_dim = 0; });
  refuses([](StoredWeight& w) { w.out_dim = 5; });
  refuses([](StoredWeight& w) { w.packed.dtype = DType::kF32; });
  refuses([](StoredWeight& w) { w.packed.shape = {20}; });
  refuses([](StoredWeight& w) { w.scale.dtype = DType::kF32; });
  refuses([](StoredWeight& w) { w.scale.shape = {4}; });
}

TEST(ColumnsOfStoredWeight, AreThoseOfTheWhole) {
  const Matrix w = random_matrix(5, 96);
  for (const int bits : {3, 4, 8})
    for (const int64_t group : {0, 16, 32}) {
      const WeightSpec spec{.bits = bits, .group = static_cast<int>(group)};
      const StoredWeightBuffer whole = quantize_weight(w.view(), spec);
      Matrix values(5, 96), own(5, 32);
      dequantize(whole.view, 0, values.view());
      for (const int64_t first : {0, 32, 64}) {
        const StoredWeightBuffer part = columns_of(whole.view, first, 32);
        check(part.view, "part");
        dequantize(part.view, 0, own.view());
        for (int64_t i = 0; i < own.rows(); ++i)
          for (int64_t j = 0; j < own.cols(); ++j) ASSERT_EQ(own(i, j), values(i, first + j));
      }
    }
}

TEST(ColumnsOfStoredWeight, RefusesPartsOfGroupsAndWords) {
  const StoredWeightBuffer whole =
      quantize_weight(random_matrix(5, 96).view(), {.bits = 4, .group = 32});
  EXPECT_THROW(columns_of(whole.view, 16, 32), std::invalid_argument);
  EXPECT_THROW(columns_of(whole.view, 0, 16), std::invalid_argument);
  EXPECT_THROW(columns_of(whole.view, 64, 64), std::invalid_argument);
  EXPECT_THROW(columns_of(whole.view, -32, 32), std::invalid_argument);
  const StoredWeightBuffer rows = quantize_weight(random_matrix(5, 96).view(), {.bits = 4});
  EXPECT_THROW(columns_of(rows.view, 4, 8), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
