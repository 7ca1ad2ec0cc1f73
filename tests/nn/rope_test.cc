#include "stamp/nn/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "random_matrix.h"

namespace stamp {
namespace {

TEST(Rope, PlainFrequencies) {
  const auto f = rope_inverse_frequencies(8, 10000.0, std::nullopt);
  ASSERT_EQ(f.size(), 4u);
  EXPECT_FLOAT_EQ(f[0], 1.0f);
  EXPECT_FLOAT_EQ(f[1], 0.1f);
  EXPECT_FLOAT_EQ(f[3], 0.001f);
}

TEST(Rope, LlamaScalingKeepsShortAndStretchesLongWavelengths) {
  const RopeScaling scaling{.factor = 8,
                            .low_freq_factor = 1,
                            .high_freq_factor = 4,
                            .original_max_position_embeddings = 8192};
  const auto plain = rope_inverse_frequencies(128, 500000.0, std::nullopt);
  const auto scaled = rope_inverse_frequencies(128, 500000.0, scaling);
  EXPECT_EQ(scaled[0], plain[0]);
  EXPECT_FLOAT_EQ(scaled[63], plain[63] / 8);
  int between = 0;
  for (size_t j = 0; j < plain.size(); ++j) {
    EXPECT_LE(scaled[j], plain[j]);
    EXPECT_GE(scaled[j], plain[j] / 8 * 0.999999f);
    between += scaled[j] < plain[j] * 0.999f && scaled[j] > plain[j] / 8 * 1.001f;
  }
  EXPECT_GT(between, 0);
}

TEST(Rope, RotatesPairsByPositionTimesFrequency) {
  const auto f = rope_inverse_frequencies(8, 10000.0, std::nullopt);
  Rng rng(1);
  const Matrix x = random_matrix(rng, 5, 24);
  Matrix y = x;
  apply_rope(y.view(), make_rope_table(f, 100, 5));
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t head = 0; head < 3; ++head)
      for (int64_t j = 0; j < 4; ++j) {
        const double angle = (100.0 + static_cast<double>(i)) * f[static_cast<size_t>(j)];
        const int64_t low = head * 8 + j, high = low + 4;
        EXPECT_NEAR(y(i, low), x(i, low) * std::cos(angle) - x(i, high) * std::sin(angle), 2e-5);
        EXPECT_NEAR(y(i, high), x(i, high) * std::cos(angle) + x(i, low) * std::sin(angle), 2e-5);
      }
}

TEST(Rope, RejectsWhatDoesNotFit) {
  const auto f = rope_inverse_frequencies(8, 10000.0, std::nullopt);
  Matrix x(5, 12), y(4, 16);
  EXPECT_THROW(apply_rope(x.view(), make_rope_table(f, 0, 5)), std::invalid_argument);
  EXPECT_THROW(apply_rope(y.view(), make_rope_table(f, 0, 5)), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
