#include "stamp/quant/bit_budget.h"

#include <gtest/gtest.h>

#include <cmath>

#include "stamp/quant/bit_plan.h"

namespace stamp {
namespace {

BudgetSite site_of(int64_t cols, double sensitivity, double decay) {
  BudgetSite site{.spec = {.bits = 4}, .cols = cols, .sensitivity = sensitivity};
  site.spec.sequence.transform = "dct";
  site.spec.plan.kind = "waterfill";
  for (int i = 0; i < 64; ++i) site.range2.push_back(static_cast<float>(std::exp(-decay * i)));
  return site;
}

double total_error(std::span<const BudgetSite> sites, const std::vector<double>& averages) {
  double sum = 0;
  for (size_t s = 0; s < sites.size(); ++s) {
    TokenSpec spec = sites[s].spec;
    spec.plan.average_bits = averages[s];
    sum += sites[s].sensitivity *
           expected_error(row_bits(spec, 64, 0, sites[s].range2), sites[s].range2);
  }
  return sum;
}

double mean_bits(std::span<const BudgetSite> sites, const std::vector<double>& averages) {
  double bits = 0, elements = 0;
  for (size_t s = 0; s < sites.size(); ++s) {
    bits += averages[s] * static_cast<double>(sites[s].cols);
    elements += static_cast<double>(sites[s].cols);
  }
  return bits / elements;
}

TEST(ShareBits, AlikeTensorsGetAlike) {
  const std::vector<BudgetSite> sites(3, site_of(10, 1, 0.1));
  for (const double average : share_bits(sites, 4.125)) EXPECT_EQ(average, 4.125);
}

TEST(ShareBits, SensitiveTensorsGetMore) {
  const std::vector<BudgetSite> sites = {site_of(10, 1, 0.01), site_of(10, 16, 0.01)};
  const std::vector<double> averages = share_bits(sites, 4);
  EXPECT_NEAR(averages[1] - averages[0], 2, 0.25);  // 16 = 2^(2 * 2)
  EXPECT_NEAR(mean_bits(sites, averages), 4, 1e-9);
}

/// Against every pair of averages on the grid.
TEST(ShareBits, IsWithinOneStepOfTheBest) {
  const std::vector<BudgetSite> sites = {site_of(30, 1, 0.05), site_of(10, 7, 0.2)};
  for (const double average : {2.5, 3.3, 4.125, 6.0}) {
    const std::vector<double> found = share_bits(sites, average);
    EXPECT_LE(mean_bits(sites, found), average + 1e-9);
    double best = HUGE_VAL;
    for (double a = 2; a <= 8; a += 1.0 / 16)
      for (double b = 2; b <= 8; b += 1.0 / 16)
        if (mean_bits(sites, {a, b}) <= average + 1e-9)
          best = std::min(best, total_error(sites, {a, b}));
    EXPECT_LE(total_error(sites, found), best * 1.08) << average;
  }
}

TEST(ShareBits, RespectsWhatRowsNeed) {
  BudgetSite site = site_of(10, 1, 0.1);
  site.spec.sequence.skip_tokens = 2;
  EXPECT_EQ(share_bits({&site, 1}, 2.25)[0], 2.25);  // 2 + 16 / 64
  EXPECT_THROW(share_bits({&site, 1}, 2.2), std::invalid_argument);
  EXPECT_EQ(share_bits({&site, 1}, 9)[0], 8);
}

}  // namespace
}  // namespace stamp
