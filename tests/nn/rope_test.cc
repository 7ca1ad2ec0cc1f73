#include "stamp/nn/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "random_matrix.h"

namespace stamp {
namespace {

TEST(Rope, PlainFrequencies) {
  const auto f = rope_frequencies(8, 10000.0, std::nullopt).inverse;
  ASSERT_EQ(f.size(), 4u);
  EXPECT_FLOAT_EQ(f[0], 1.0f);
  EXPECT_FLOAT_EQ(f[1], 0.1f);
  EXPECT_FLOAT_EQ(f[3], 0.001f);
}

TEST(Rope, LlamaScalingKeepsShortAndStretchesLongWavelengths) {
  const RopeScaling scaling{.factor = 8,
                            .original_max_position_embeddings = 8192,
                            .low_freq_factor = 1,
                            .high_freq_factor = 4};
  const auto plain = rope_frequencies(128, 500000.0, std::nullopt).inverse;
  const auto scaled = rope_frequencies(128, 500000.0, scaling).inverse;
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

TEST(Rope, LinearScalingDividesFrequencies) {
  const RopeScaling scaling{.type = RopeScaling::Type::kLinear, .factor = 2.5};
  const RopeFrequencies f = rope_frequencies(8, 10000.0, scaling);
  ASSERT_EQ(f.inverse.size(), 4u);
  EXPECT_FLOAT_EQ(f.inverse[0], 0.4f);
  EXPECT_FLOAT_EQ(f.inverse[3], 0.0004f);
  EXPECT_EQ(f.attention_factor, 1.0f);
}

struct YarnCase {
  int64_t head_dim;
  double theta;
  RopeScaling scaling;
  std::vector<float> want;
};

RopeScaling yarn(RopeScaling scaling) {
  scaling.type = RopeScaling::Type::kYarn;
  return scaling;
}

/// Printed by transformers 5.23 (_compute_yarn_parameters).
TEST(Rope, YarnHasTheFrequenciesOfTransformers) {
  const YarnCase cases[] = {
      {16,
       200,
       yarn({.factor = 4, .original_max_position_embeddings = 32}),
       {1.0f, 0.38675195f, 0.132957399f, 0.0342810228f, 0.0176776703f, 0.009115831f, 0.00470075384f,
        0.00242403429f}},
      {8,  // ends that are no whole pairs
       1e4,
       yarn({.factor = 40, .original_max_position_embeddings = 4096, .truncate = false}),
       {1.0f, 0.100000001f, 0.00552406255f, 2.49999994e-05f}},
      {8,  // a step
       1e4,
       yarn({.factor = 4,
             .original_max_position_embeddings = 4096,
             .beta_fast = 1,
             .beta_slow = 1,
             .truncate = false}),
       {1.0f, 0.100000001f, 0.00999999978f, 0.000250000012f}},
      {8,  // a context shorter than a turn: the ramp ends where it begins
       1e4,
       yarn({.factor = 4, .original_max_position_embeddings = 2}),
       {1.0f, 0.0250000004f, 0.00249999994f, 0.000250000012f}},
      {8,  // all pairs turn often: the ramp lies behind the last
       1.5,
       yarn({.factor = 4, .original_max_position_embeddings = 4096}),
       {0.25f, 0.225900501f, 0.204124138f, 0.18444699f}}};
  for (const YarnCase& item : cases) {
    const auto got = rope_frequencies(item.head_dim, item.theta, item.scaling).inverse;
    ASSERT_EQ(got.size(), item.want.size());
    for (size_t j = 0; j < got.size(); ++j)
      EXPECT_NEAR(got[j], item.want[j], 3e-7 * item.want[j]) << item.theta << ' ' << j;
  }
}

TEST(Rope, YarnMultipliesCosineAndSine) {
  const RopeScaling scaling = yarn({.factor = 4, .attention_factor = 1.25});
  const RopeFrequencies f = rope_frequencies(8, 10000.0, scaling);
  const RopeTable table = make_rope_table(f, 0, 3);
  EXPECT_EQ(table.cosine(0, 0), 1.25f);
  EXPECT_EQ(table.sine(0, 0), 0.0f);
  EXPECT_FLOAT_EQ(table.sine(2, 0), 1.25f * std::sin(2.0f));
}

TEST(Rope, RotatesPairsByPositionTimesFrequency) {
  const auto f = rope_frequencies(8, 10000.0, std::nullopt);
  Rng rng(1);
  const Matrix x = random_matrix(rng, 5, 24);
  Matrix y = x;
  apply_rope(y.view(), make_rope_table(f, 100, 5));
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t head = 0; head < 3; ++head)
      for (int64_t j = 0; j < 4; ++j) {
        const double angle = (100.0 + static_cast<double>(i)) * f.inverse[static_cast<size_t>(j)];
        const int64_t low = head * 8 + j, high = low + 4;
        EXPECT_NEAR(y(i, low), x(i, low) * std::cos(angle) - x(i, high) * std::sin(angle), 2e-5);
        EXPECT_NEAR(y(i, high), x(i, high) * std::cos(angle) + x(i, low) * std::sin(angle), 2e-5);
      }
}

TEST(Rope, RejectsWhatDoesNotFit) {
  const auto f = rope_frequencies(8, 10000.0, std::nullopt);
  Matrix x(5, 12), y(4, 16);
  EXPECT_THROW(apply_rope(x.view(), make_rope_table(f, 0, 5)), std::invalid_argument);
  EXPECT_THROW(apply_rope(y.view(), make_rope_table(f, 0, 5)), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
