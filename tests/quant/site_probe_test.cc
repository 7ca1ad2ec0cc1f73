#include "stamp/quant/site_probe.h"

#include <gtest/gtest.h>

#include "tests/quant/matrices.h"

namespace stamp {
namespace {

TokenSpec spec_of(const std::string& transform, int skip) {
  TokenSpec spec{.bits = 4};
  spec.sequence = {.transform = transform, .skip_tokens = skip};
  spec.plan.kind = "fraction";
  return spec;
}

SiteStatistics probed(const TokenSpec& spec, const std::vector<Matrix>& windows) {
  SiteProbe probe(spec, "none");
  for (const Matrix& window : windows) probe.add(Matrix(window).view(), 0);
  return probe.finish();
}

/// Random rows, those of `loud` a hundred times as large.
Matrix with_massive(const std::vector<int64_t>& loud, uint64_t seed = 1) {
  Matrix x = random_matrix(64, 16, seed);
  for (const int64_t i : loud)
    for (int64_t c = 0; c < 16; ++c) x(i, c) *= 100;
  return x;
}

TEST(SiteProbe, FindsMassiveFirstTokens) {
  const TokenSpec spec = spec_of("haar", kDetectSinks);
  EXPECT_EQ(probed(spec, {with_massive({})}).skip_tokens, 0);
  EXPECT_EQ(probed(spec, {with_massive({0})}).skip_tokens, 1);
  EXPECT_EQ(probed(spec, {with_massive({0, 3})}).skip_tokens, 4);
  EXPECT_EQ(probed(spec, {with_massive({40})}).skip_tokens, 0);  // not among the first
  EXPECT_EQ(
      probed(spec, {with_massive({0, 3}), with_massive({0}, 2), with_massive({0}, 3)}).skip_tokens,
      1);  // in fewer than half of the windows
}

TEST(SiteProbe, LeavesAGivenNumberAlone) {
  EXPECT_EQ(probed(spec_of("klt", 2), {with_massive({0, 5})}).skip_tokens, 2);
  EXPECT_FALSE(needs_probe(spec_of("haar", 1)));
  EXPECT_FALSE(needs_probe(spec_of("identity", kDetectSinks)));
  EXPECT_TRUE(needs_probe(spec_of("haar", kDetectSinks)));
  EXPECT_TRUE(needs_probe(spec_of("klt", 0)));
}

TEST(SiteProbe, FindsTheCovarianceOfWholeBlocks) {
  const Matrix x = random_matrix(100, 20, 3);
  TokenSpec spec = spec_of("klt", 0);
  spec.sequence.klt_tokens = 8;
  const SiteStatistics statistics = probed(spec, {x, x});
  ASSERT_EQ(statistics.covariance.size(), 64u);
  double sum = 0;  // of tokens 3 and 5 of the 12 whole blocks
  for (int64_t block = 0; block < 12; ++block)
    for (int64_t c = 0; c < 20; ++c) sum += double{x(8 * block + 3, c)} * x(8 * block + 5, c);
  EXPECT_NEAR(statistics.covariance[3 * 8 + 5], sum / 12, 1e-4);
  SiteCollector second(spec, "none", statistics);
  second.add(Matrix(x).view(), 0);
  EXPECT_EQ(second.finish().range2.size(), 100u);
  EXPECT_EQ(second.finish().covariance, statistics.covariance);
}

TEST(SiteProbe, SinksDoNotBendTheBasis) {
  const TokenSpec spec = spec_of("klt", kDetectSinks);
  for (const float s : probed(spec, {with_massive({0})}).covariance) EXPECT_LT(std::abs(s), 100);
}

/// What is found stays out of L: the other tokens are much more exact than with it inside.
TEST(SiteProbe, DetectedSinksAreSkipped) {
  const TokenSpec spec = spec_of("haar", kDetectSinks);
  const SiteStatistics statistics = probed(spec, {with_massive({0, 1})});
  const TokenSpec found = with_sinks(spec, statistics);
  EXPECT_EQ(found.sequence.skip_tokens, 2);
  const auto error = [](const TokenSpec& s) {
    const Matrix x = with_massive({0, 1});
    Matrix y = x;
    TokenQuantizer(s).apply(y.view());
    double sum = 0;
    for (int64_t i = 2; i < 64; ++i)
      for (int64_t c = 0; c < 16; ++c) sum += std::pow(double{x(i, c)} - y(i, c), 2);
    return sum;
  };
  EXPECT_LT(error(found), 0.1 * error(spec));
}

}  // namespace
}  // namespace stamp
