#include "stamp/quant/calibration.h"

#include <gtest/gtest.h>

#include "stamp/quant/sequence_transform.h"
#include "tests/quant/matrices.h"
#include "tests/quant/transform_params.h"

namespace stamp {
namespace {

TokenSpec spec_of(const std::string& transform, int skip = 0, int block = 0) {
  TokenSpec spec;
  spec.bits = 4;
  spec.sequence = {.transform = transform, .skip_tokens = skip, .block_tokens = block};
  spec.plan.kind = "fraction";
  return spec;
}

SiteStatistics collected(const TokenSpec& spec, const std::string& center,
                         std::vector<Matrix> windows, int64_t group = 0) {
  const bool klt = spec.sequence.transform == "klt";
  SiteStatistics probed;
  if (klt) probed.covariance = decaying_covariance(16);
  SiteCollector collector(spec, center, probed);
  for (Matrix& window : windows) collector.add(window.view(), 0, group);
  return collector.finish();
}

TEST(SiteCollector, AveragesRowRangesOverWindows) {
  const SiteStatistics statistics =
      collected(spec_of("identity"), "none", {column({1, -2}), column({3, 0})});
  EXPECT_EQ(statistics.range2, (std::vector<float>{(1 + 9) / 2.0f, 2}));
  EXPECT_FALSE(statistics.center);
}

TEST(SiteCollector, RangesAreThoseOfTheTransformedRows) {
  const Matrix x = random_matrix(64, 24);
  Matrix transformed = x;
  sequence_transform("dct").forward(transformed.view(), 0);
  const SiteStatistics statistics = collected(spec_of("dct"), "none", {x}, 8);
  for (int64_t i = 0; i < 64; ++i) {
    EXPECT_EQ(statistics.range2[static_cast<size_t>(i)],
              static_cast<float>(row_range2(transformed.view().row_span(i), {}, 8)));
  }
}

TEST(SiteCollector, SinksNeitherSpreadNorMoveTheMean) {
  Matrix x = random_matrix(64, 8), quiet = x;
  for (int64_t j = 0; j < 8; ++j) {
    x(0, j) = 1e4f;
    quiet(0, j) = -3;
  }
  const SiteStatistics loud = collected(spec_of("haar", 1), "static", {x});
  const SiteStatistics same = collected(spec_of("haar", 1), "static", {quiet});
  EXPECT_EQ(loud.range2, same.range2);
  EXPECT_EQ(loud.mean, same.mean);
}

TEST(SiteCollector, CenteredRangesAreThoseOfCenteredTokens) {
  const Matrix x = random_matrix(60, 12, 3, 5);
  for (const SequenceTransform& transform : sequence_transforms()) {
    const TokenSpec spec = spec_of(std::string(transform.name));
    const SiteStatistics statistics = collected(spec, "static", {x});
    EXPECT_TRUE(statistics.center);
    Matrix centered = x;
    for (int64_t i = 0; i < 60; ++i) {
      for (int64_t j = 0; j < 12; ++j) centered(i, j) -= statistics.mean[static_cast<size_t>(j)];
    }
    const SiteStatistics expected = collected(spec, "none", {centered});
    for (size_t i = 0; i < 60; ++i)
      EXPECT_NEAR(statistics.range2[i], expected.range2[i], 1e-3) << transform.name;
  }
}

TEST(SiteCollector, RangesOfOtherThanOrthonormalRowsCountWhatTheirErrorsCost) {
  const Matrix x = random_matrix(64, 24);
  Matrix transformed = x;
  const SequenceTransform& transform = sequence_transform("cdf97");
  const int levels = auto_levels(transform, 64, 2);
  transform.forward(transformed.view(), levels);
  const std::vector<double> energies = inverse_column_energies(transform, 64, levels);
  const SiteStatistics statistics = collected(spec_of("cdf97"), "none", {x});
  for (int64_t i = 0; i < 64; ++i) {
    const auto at = static_cast<size_t>(i);
    EXPECT_NEAR(statistics.range2[at],
                energies[at] * row_range2(transformed.view().row_span(i), {}),
                1e-4 * statistics.range2[at]);
  }
}

TEST(SiteCollector, MeanIsThatOfAllTokens) {
  const SiteStatistics statistics =
      collected(spec_of("identity"), "auto", {column({1, 2}), column({3, 6})});
  EXPECT_EQ(statistics.mean, std::vector<float>{3});
}

TEST(SiteCollector, AutoCentersWhereItPays) {
  EXPECT_TRUE(collected(spec_of("identity"), "auto", {random_matrix(64, 16, 1, 8)}).center);
  // One loud row makes the mean; it has 8 bits anyway, and the others would have to carry the mean
  // at 4.
  Matrix loud = Matrix::zeros(64, 16);
  for (int64_t j = 0; j < 16; ++j) loud(0, j) = 100;
  EXPECT_FALSE(collected(spec_of("identity"), "auto", {loud}).center);
}

TEST(SiteCollector, ShortBlocksDoNotCount) {
  const Matrix x = random_matrix(40, 4);
  const SiteStatistics with_rest = collected(spec_of("haar", 0, 16), "none", {x});
  const SiteStatistics without =
      collected(spec_of("haar", 0, 16), "none", {Matrix::copy_of(x.view().rows_from(0, 32))});
  ASSERT_EQ(with_rest.range2.size(), 16u);
  EXPECT_EQ(with_rest.range2, without.range2);
}

TEST(SiteCollector, NothingAddedIsNothingFound) {
  const SiteStatistics statistics = SiteCollector(spec_of("haar"), "auto").finish();
  EXPECT_TRUE(statistics.range2.empty());
  EXPECT_TRUE(statistics.mean.empty());
  EXPECT_FALSE(statistics.center);
}

TEST(SiteCollector, RefusesWindowsOfAnotherWidth) {
  SiteCollector collector(spec_of("haar"), "auto");
  Matrix a = random_matrix(32, 8), b = random_matrix(32, 9);
  collector.add(a.view(), 0);
  EXPECT_THROW(collector.add(b.view(), 0), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
