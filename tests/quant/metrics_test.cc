#include "stamp/quant/metrics.h"

#include <gtest/gtest.h>

#include "tests/quant/matrices.h"

namespace stamp {
namespace {

TEST(Sqnr, ByHand) {
  Sqnr sqnr;
  EXPECT_EQ(sqnr.db(), HUGE_VAL);
  sqnr.add(row({3, 4}).view(), row({3, 4}).view());
  EXPECT_EQ(sqnr.db(), HUGE_VAL);
  sqnr.add(row({3, 4}).view(), row({3, 4.5f}).view());
  EXPECT_NEAR(sqnr.db(), 10 * std::log10(50 / 0.25), 1e-12);
  EXPECT_THROW(sqnr.add(row({1}).view(), row({1, 2}).view()), std::invalid_argument);
}

TEST(ScoreToken, ByHand) {
  const std::vector<float> reference = {0, std::log(3.0f)}, approximation = {0, 0};
  const TokenScore score = score_token(reference, approximation, 1);  // p = 1/4, 3/4; q = 1/2, 1/2
  EXPECT_NEAR(score.nll, std::log(2.0), 1e-6);
  EXPECT_NEAR(score.nll_reference, -std::log(0.75), 1e-6);
  EXPECT_NEAR(score.kl, 0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-6);
  EXPECT_FALSE(score.same_top1);
}

TEST(ScoreToken, IsExactForEqualRowsHoweverLarge) {
  const std::vector<float> logits = {3000, 2999, -5000, -HUGE_VALF};
  const TokenScore score = score_token(logits, logits, -1);
  EXPECT_EQ(score.kl, 0);
  EXPECT_TRUE(score.same_top1);
  EXPECT_TRUE(std::isnan(score.nll));
  EXPECT_TRUE(std::isnan(score.nll_reference));
  EXPECT_NEAR(score_token(logits, logits, 0).nll, std::log1p(std::exp(-1.0)), 1e-6);
}

TEST(ScoreToken, RefusesWhatDoesNotFit) {
  const std::vector<float> two = {0, 1}, three = {0, 1, 2};
  EXPECT_THROW(score_token(two, three, 0), std::invalid_argument);
  EXPECT_THROW(score_token(two, two, 2), std::invalid_argument);
  EXPECT_THROW(score_token({}, {}, -1), std::invalid_argument);
}

TEST(Quantile, InterpolatesLinearly) {
  std::vector<float> values = {4, 1, 3, 2};
  EXPECT_EQ(quantile(values, 0), 1);
  EXPECT_EQ(quantile(values, 1), 4);
  EXPECT_EQ(quantile(values, 0.5), 2.5);
  EXPECT_NEAR(quantile(values, 0.9), 3.7, 1e-6);
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
  EXPECT_THROW(quantile(values, 1.1), std::invalid_argument);
  EXPECT_THROW(quantile(values, NAN), std::invalid_argument);
}

TEST(Bootstrap, CoversTheMeanAndIsReproducible) {
  Rng rng(9);
  std::vector<double> differences;
  double sum = 0;
  for (int i = 0; i < 100; ++i) sum += differences.emplace_back(0.5 + rng.normal());
  const Interval interval = bootstrap_mean(differences), again = bootstrap_mean(differences);
  EXPECT_EQ(interval.low, again.low);
  EXPECT_EQ(interval.high, again.high);
  EXPECT_LT(interval.low, sum / 100);
  EXPECT_GT(interval.high, sum / 100);
  EXPECT_NEAR(interval.high - interval.low, 2 * 1.96 / 10, 0.08);  // standard error 1/10
  EXPECT_NE(bootstrap_mean(differences, 1).low, interval.low);
  const double one = 3;
  EXPECT_EQ(bootstrap_mean({&one, 1}).low, 3);
  EXPECT_TRUE(std::isnan(bootstrap_mean({}).low));
}

}  // namespace
}  // namespace stamp
