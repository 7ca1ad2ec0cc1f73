#include "stamp/text/sampling.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>

namespace stamp {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

int32_t sample(std::vector<float> logits, const SamplingOptions& options, uint64_t seed = 0,
               std::vector<int32_t> seen = {}) {
  Rng rng(seed);
  return sample_token(logits, seen, options, rng);
}

/// Share of every id among many draws.
std::map<int32_t, double> shares(const std::vector<float>& logits, const SamplingOptions& options) {
  constexpr int kDraws = 20000;
  Rng rng(42);
  std::map<int32_t, double> result;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> copy = logits;
    result[sample_token(copy, {}, options, rng)] += 1.0 / kDraws;
  }
  return result;
}

TEST(SampleToken, GreedyTakesTheFirstOfTheLargest) {
  EXPECT_EQ(sample({1, 3, 2, 3}, {}), 1);
  EXPECT_EQ(sample({-kInf, -5}, {}), 1);
  EXPECT_EQ(sample({0, 0}, {.top_k = 1, .top_p = 0.1}), 0);
}

TEST(SampleToken, PenalizesEverySeenIdOnce) {
  EXPECT_EQ(sample({2.0f, 1.9f}, {.repetition_penalty = 1.2}, 0, {0}), 1);
  EXPECT_EQ(sample({-1.0f, -1.1f}, {.repetition_penalty = 1.2}, 0, {0}), 1);
  EXPECT_EQ(sample({2.0f, 1.5f}, {.repetition_penalty = 1.2}, 0, {0, 0, 0}), 0);
  std::vector<float> logits = {2, -2, 3};
  Rng rng(0);
  sample_token(logits, std::vector<int32_t>{1, 0, 1}, {.repetition_penalty = 2.0}, rng);
  EXPECT_EQ(logits, (std::vector<float>{1, -4, 3}));
}

TEST(SampleToken, DrawsFromTheSoftmax) {
  const std::vector<float> logits = {std::log(1.0f), std::log(2.0f), std::log(7.0f)};
  auto at_one = shares(logits, {.temperature = 1.0});
  EXPECT_NEAR(at_one[0], 0.1, 0.01);
  EXPECT_NEAR(at_one[1], 0.2, 0.015);
  EXPECT_NEAR(at_one[2], 0.7, 0.015);
  auto at_half = shares(logits, {.temperature = 0.5});  // squares: 1, 4, 49 of 54
  EXPECT_NEAR(at_half[1], 4.0 / 54, 0.01);
  EXPECT_NEAR(at_half[2], 49.0 / 54, 0.01);
}

TEST(SampleToken, TopKKeepsTiesWithTheLast) {
  EXPECT_EQ(shares({1, 5, 3, 3, 2}, {.temperature = 1.0, .top_k = 1}).size(), 1u);
  auto kept = shares({1, 5, 3, 3, 2}, {.temperature = 1.0, .top_k = 2});
  EXPECT_EQ(kept.size(), 3u);
  EXPECT_TRUE(kept.contains(1) && kept.contains(2) && kept.contains(3));
  EXPECT_EQ(shares({1, 1, 1}, {.temperature = 1.0, .top_k = 99}).size(), 3u);
}

TEST(SampleToken, TopPKeepsTheTokenThatReachesP) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.25f),
                                     std::log(0.15f)};
  EXPECT_EQ(shares(logits, {.temperature = 1.0, .top_p = 0.45}).size(), 1u);
  EXPECT_EQ(shares(logits, {.temperature = 1.0, .top_p = 0.7}).size(), 2u);
  EXPECT_EQ(shares(logits, {.temperature = 1.0, .top_p = 0.8}).size(), 3u);
  EXPECT_EQ(shares(logits, {.temperature = 1.0, .top_p = 1e-9}).size(), 1u);
  auto kept = shares(logits, {.temperature = 1.0, .top_p = 0.7});
  EXPECT_NEAR(kept[1], 2.0 / 3, 0.015);
}

TEST(SampleToken, AppliesTopPToWhatTemperatureAndTopKLeave) {
  const std::vector<float> logits = {std::log(0.4f), std::log(0.3f), std::log(0.3f)};
  // Among the two of top_k (a tie makes it three) the first has 0.4; alone it would not reach 0.5.
  EXPECT_EQ(shares({std::log(0.4f), std::log(0.35f), std::log(0.25f)},
                   {.temperature = 1.0, .top_k = 2, .top_p = 0.5})
                .size(),
            1u);
  EXPECT_EQ(shares(logits, {.temperature = 1.0, .top_p = 0.5}).size(), 2u);
  EXPECT_EQ(shares(logits, {.temperature = 0.05, .top_p = 0.5}).size(), 1u);
}

TEST(SampleToken, SurvivesExtremeTemperaturesAndExcludedTokens) {
  EXPECT_EQ(sample({1.0f, 1.001f}, {.temperature = 1e-300}), 1);
  EXPECT_EQ(shares({3e38f, -3e38f, -kInf}, {.temperature = 1.0}).size(), 1u);
  EXPECT_EQ(shares({1, 2, -kInf}, {.temperature = 1e6}).size(), 2u);
}

TEST(SampleToken, RepeatsWithTheSeed) {
  const std::vector<float> logits(100, 1.0f);
  EXPECT_EQ(sample(logits, {.temperature = 1.0}, 5), sample(logits, {.temperature = 1.0}, 5));
  EXPECT_NE(sample(logits, {.temperature = 1.0}, 5), sample(logits, {.temperature = 1.0}, 6));
}

TEST(SampleToken, RefusesBadArguments) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const SamplingOptions& options :
       {SamplingOptions{.temperature = -1}, SamplingOptions{.temperature = nan},
        SamplingOptions{.top_k = -1}, SamplingOptions{.top_p = 0}, SamplingOptions{.top_p = 1.1},
        SamplingOptions{.top_p = nan}, SamplingOptions{.repetition_penalty = 0},
        SamplingOptions{.repetition_penalty = nan}})
    EXPECT_THROW(sample({1, 2}, options), std::invalid_argument);
  EXPECT_THROW(sample({}, {}), std::invalid_argument);
  EXPECT_THROW(sample({1, 2}, {.repetition_penalty = 1.5}, 0, {2}), std::invalid_argument);
  EXPECT_THROW(sample({1, 2}, {.repetition_penalty = 1.5}, 0, {-1}), std::invalid_argument);
}

TEST(SampleToken, RefusesBrokenLogits) {
  EXPECT_THROW(sample({1, std::nanf("")}, {}), std::runtime_error);
  EXPECT_THROW(sample({1, kInf}, {.temperature = 1.0}), std::runtime_error);
  EXPECT_THROW(sample({-kInf, -kInf}, {}), std::runtime_error);
}

}  // namespace
}  // namespace stamp
