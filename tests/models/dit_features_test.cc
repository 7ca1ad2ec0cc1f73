#include <gtest/gtest.h>

#include <cmath>

#include "stamp/models/dit/features.h"
#include "stamp/models/t5/t5.h"
#include "stamp/models/text_encoder.h"

namespace stamp {
namespace {

TEST(DitFeatures, TimesHaveCosinesFirst) {
  const std::vector<float> zero = sinusoid_features(0), one = sinusoid_features(1);
  ASSERT_EQ(zero.size(), 256u);
  EXPECT_EQ(zero[0], 1.0f);
  EXPECT_EQ(zero[128], 0.0f);
  EXPECT_NEAR(one[0], std::cos(1.0), 1e-6);
  EXPECT_NEAR(one[128], std::sin(1.0), 1e-6);
  EXPECT_NEAR(one[128 + 64], std::sin(std::pow(10000.0, -0.5)), 1e-6);  // divisor 128, not 127
}

TEST(DitFeatures, PositionsEncodeTheColumnFirst) {
  const Matrix p = grid_positions(3, 5, 8, 4, 2.0);
  const double x = 3 / (5.0 / 4) / 2, y = 2 / (3.0 / 4) / 2;  // stretched to the base
  const float* row = p.row(2 * 5 + 3);
  EXPECT_NEAR(row[0], std::sin(x), 1e-6);
  EXPECT_NEAR(row[1], std::sin(x / 100), 1e-6);
  EXPECT_NEAR(row[2], std::cos(x), 1e-6);
  EXPECT_NEAR(row[4], std::sin(y), 1e-6);
  EXPECT_NEAR(row[7], std::cos(y / 100), 1e-6);
}

TEST(DitFeatures, PatchesHoldChannelsByPixels) {
  PixelMap map(4, 6, 2);
  for (int64_t i = 0; i < map.pixels.size(); ++i) map.pixels.data()[i] = static_cast<float>(i);
  const Matrix patches = patches_of(map, 2);
  ASSERT_EQ(patches.rows(), 6);
  ASSERT_EQ(patches.cols(), 8);
  // Patch (1, 2), channel 1, pixel (1, 0): row 3, column 4 of the map.
  EXPECT_EQ(patches(5, (1 * 2 + 1) * 2 + 0), map.pixels(3 * 6 + 4, 1));
  // Back from tokens in which the channels of a pixel lie side by side.
  Matrix tokens(6, 8);
  for (int64_t t = 0; t < 6; ++t)
    for (int64_t k = 0; k < 4; ++k)
      for (int64_t c = 0; c < 2; ++c) tokens(t, k * 2 + c) = patches(t, c * 4 + k);
  const PixelMap back = map_of_patches(tokens, 2, 3, 2);
  for (int64_t i = 0; i < map.pixels.size(); ++i)
    ASSERT_EQ(back.pixels.data()[i], map.pixels.data()[i]);
}

TEST(T5, BucketsOfDistances) {
  EXPECT_EQ(t5_position_bucket(0, 32, 128), 0);
  EXPECT_EQ(t5_position_bucket(-7, 32, 128), 7);
  EXPECT_EQ(t5_position_bucket(7, 32, 128), 23);
  EXPECT_EQ(t5_position_bucket(-8, 32, 128), 8);
  EXPECT_EQ(t5_position_bucket(-127, 32, 128), 15);
  EXPECT_EQ(t5_position_bucket(100000, 32, 128), 31);
  for (int64_t d = 1; d < 300; ++d)
    EXPECT_LE(t5_position_bucket(-d, 32, 128), t5_position_bucket(-d - 1, 32, 128));
}

TEST(TextEncoder, MasksMustShowSomething) {
  const std::vector<uint8_t> none = {0, 0}, one = {1, 0};
  EXPECT_THROW(key_bias_of(none, 2, -1), std::invalid_argument);
  EXPECT_THROW(key_bias_of(one, 3, -1), std::invalid_argument);
  EXPECT_EQ(key_bias_of(one, 2, -1), (std::vector<float>{0, -1}));
}

}  // namespace
}  // namespace stamp
