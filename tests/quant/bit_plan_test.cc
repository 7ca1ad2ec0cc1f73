#include "stamp/quant/bit_plan.h"

#include <gtest/gtest.h>

#include <numeric>

#include "stamp/core/rng.h"

namespace stamp {
namespace {

double cost(const std::vector<Band>& bands, const std::vector<double>& weight,
            const std::vector<double>& energy, const std::vector<int>& bits) {
  double sum = 0;
  for (size_t b = 0; b < bands.size(); ++b) {
    const double steps = (1 << bits[b]) - 1;
    sum += static_cast<double>(bands[b].count) *
           (bits[b] == 0 ? energy[b] : weight[b] / (steps * steps));
  }
  return sum;
}

/// Smallest cost over all allowed widths.
double brute_force(const std::vector<Band>& bands, const std::vector<double>& weight,
                   const std::vector<double>& energy, int64_t budget, int min_bits, int max_bits,
                   std::vector<int> chosen = {}) {
  if (budget < 0) return HUGE_VAL;
  if (chosen.size() == bands.size()) return cost(bands, weight, energy, chosen);
  double best = HUGE_VAL;
  const int64_t count = bands[chosen.size()].count;
  for (int bits = min_bits; bits <= max_bits; ++bits) {
    if (bits == 1) continue;
    chosen.push_back(bits);
    best = std::min(best, brute_force(bands, weight, energy, budget - count * bits, min_bits,
                                      max_bits, chosen));
    chosen.pop_back();
  }
  return best;
}

TEST(Waterfill, EqualsBruteForce) {
  Rng rng(11);
  for (int round = 0; round < 200; ++round) {
    const bool single = round % 2 == 0;
    const int min_bits = round % 4 < 2 ? 0 : 2 + static_cast<int>(rng.below(2));
    const int max_bits = 5 + static_cast<int>(rng.below(2));
    std::vector<Band> bands;
    std::vector<double> weight, energy;
    int64_t rows = 0;
    for (uint64_t b = 0; b < 2 + rng.below(4); ++b) {
      const int64_t count = single ? 1 : 1 + static_cast<int64_t>(rng.below(5));
      bands.push_back({rows, count});
      rows += count;
      weight.push_back(std::exp(3 * rng.normal()));
      energy.push_back(weight.back() * rng.uniform());
    }
    const int64_t slack = static_cast<int64_t>(rng.below(static_cast<uint64_t>(rows * 5)));
    const int64_t budget = rows * min_bits + slack;
    const std::vector<int> bits = waterfill(bands, weight, energy, budget, min_bits, max_bits);
    int64_t used = 0;
    for (size_t b = 0; b < bits.size(); ++b) {
      used += bits[b] * bands[b].count;
      EXPECT_TRUE(bits[b] >= min_bits && bits[b] <= max_bits && bits[b] != 1);
    }
    EXPECT_LE(used, budget);
    const double best = brute_force(bands, weight, energy, budget, min_bits, max_bits);
    EXPECT_NEAR(cost(bands, weight, energy, bits), best, 1e-12 * best) << round;
  }
}

TEST(Waterfill, GivesEverythingWhenTheBudgetAllows) {
  const std::vector<Band> bands = {{0, 1}, {1, 1}};
  const std::vector<double> weight = {1, 0};
  EXPECT_EQ(waterfill(bands, weight, {}, 1000, 2), (std::vector<int>{8, 8}));
  EXPECT_EQ(waterfill(bands, weight, {}, 4, 2), (std::vector<int>{2, 2}));
  EXPECT_TRUE(waterfill({}, {}, {}, 0, 2).empty());
}

TEST(Waterfill, RefusesWhatCannotWork) {
  const std::vector<Band> bands = {{0, 1}, {1, 2}};
  const std::vector<double> one = {1}, two = {1, 1}, negative = {1, -1}, nan = {1, NAN},
                            infinite = {HUGE_VAL, 1};
  EXPECT_THROW(waterfill(bands, one, {}, 100, 2), std::invalid_argument);
  EXPECT_THROW(waterfill(bands, two, {}, 5, 2), std::invalid_argument);
  EXPECT_THROW(waterfill(bands, two, {}, 100, 0), std::invalid_argument);  // no energies
  EXPECT_THROW(waterfill(bands, two, {}, 100, 1), std::invalid_argument);
  EXPECT_THROW(waterfill(bands, two, {}, 100, 2, 9), std::invalid_argument);
  EXPECT_THROW(waterfill(bands, negative, {}, 100, 2), std::invalid_argument);
  EXPECT_THROW(waterfill(bands, nan, {}, 100, 2), std::invalid_argument);
  EXPECT_THROW(waterfill(bands, infinite, {}, 100, 2), std::invalid_argument);
  const std::vector<Band> empty_band = {{0, 0}, {0, 2}};
  EXPECT_THROW(waterfill(empty_band, two, {}, 100, 2), std::invalid_argument);
}

TokenSpec spec_of(const std::string& kind, const std::string& transform = "haar") {
  TokenSpec spec;
  spec.bits = 4;
  spec.sequence.transform = transform;
  spec.plan.kind = kind;
  return spec;
}

int64_t total(const std::vector<uint8_t>& bits) {
  return std::accumulate(bits.begin(), bits.end(), int64_t{0});
}

TEST(RowBits, TwoLevelCountsTheSkippedRows) {
  const std::vector<uint8_t> bits = row_bits(spec_of("two_level"), 1024, 1, {});
  EXPECT_EQ(std::count(bits.begin(), bits.end(), 8), 63);
  EXPECT_EQ(bits[62], 8);
  EXPECT_EQ(bits[63], 4);
  EXPECT_EQ(total(row_bits(spec_of("two_level"), 1024, 0, {})), 1024 * 4 + 64 * 4);
}

TEST(RowBits, TwoLevelProtectsShortBlocksWhole) {
  for (const int64_t skip : {0, 1})
    for (const int64_t tokens : {1, 2, 10, 63})
      EXPECT_EQ(total(row_bits(spec_of("two_level"), tokens, skip, {})), 8 * tokens);
  EXPECT_EQ(total(row_bits(spec_of("two_level"), 64, 1, {})), 8 * 63 + 4);
  EXPECT_EQ(total(row_bits(spec_of("two_level"), 65, 0, {})), 8 * 64 + 4);
}

TEST(RowBits, FractionAveragesTheSameAtEveryLength) {
  for (const int64_t n : {32, 64, 1024, 4096}) {
    EXPECT_EQ(static_cast<double>(total(row_bits(spec_of("fraction"), n, 0, {}))) /
                  static_cast<double>(n),
              4.125);
  }
  EXPECT_EQ(row_bits(spec_of("fraction"), 3, 0, {})[0], 8);
  EXPECT_EQ(row_bits(spec_of("fraction"), 64, 1, {})[1], 4);
}

TEST(RowBits, UniformIsUniform) {
  for (const int bits : row_bits(spec_of("uniform"), 100, 1, {})) EXPECT_EQ(bits, 4);
}

/// Ranges that fall like those of a smooth signal.
std::vector<float> falling(int64_t n) {
  std::vector<float> range2;
  for (int64_t i = 0; i < n; ++i) range2.push_back(1.0f / static_cast<float>((i + 1) * (i + 1)));
  return range2;
}

TEST(RowBits, WaterfillSpendsTheAverageSinksIncluded) {
  for (const char* transform : {"identity", "haar", "dct", "wht"}) {
    for (const int64_t skip : {0, 1, 3}) {
      const int64_t spent =
          total(row_bits(spec_of("waterfill", transform), 512, skip, falling(512)));
      const int64_t budget = total(row_bits(spec_of("two_level", transform), 512, skip, {}));
      EXPECT_LE(spent, budget);
      // What is left cannot widen any band: the largest sub-band has 256 rows, other transforms
      // single rows.
      EXPECT_GT(spent, budget - (transform == std::string("haar") ? 256 : 1));
    }
  }
  TokenSpec spec = spec_of("waterfill", "dct");
  spec.plan.average_bits = 3.5;
  EXPECT_EQ(total(row_bits(spec, 512, 1, falling(512))), 512 * 7 / 2 - 8);
}

TEST(RowBits, WaterfillBeatsTwoLevelAtTheSameBudget) {
  const std::vector<float> range2 = falling(512);
  for (const char* transform : {"haar", "dct"}) {
    const double filled =
        expected_error(row_bits(spec_of("waterfill", transform), 512, 0, range2), range2);
    const double two =
        expected_error(row_bits(spec_of("two_level", transform), 512, 0, range2), range2);
    EXPECT_LT(filled, two);
  }
}

/// All but one sub-band have one width; the budget is spent to the last bit.
TEST(RowBits, WaterfillSplitsOneSubbandAtMost) {
  TokenSpec spec = spec_of("waterfill");
  for (const int min_bits : {0, 2}) {
    for (const double average : {3.1, 4.125, 5.77}) {
      for (const int64_t n : {300, 512, 1001}) {
        spec.plan.min_bits = min_bits;
        spec.plan.average_bits = average;
        const std::vector<uint8_t> bits = row_bits(spec, n, 1, falling(512));
        ASSERT_EQ(static_cast<int64_t>(bits.size()), n);
        EXPECT_EQ(total(bits), std::floor(average * static_cast<double>(n) + 1e-6) - 8);
        int split = 0;
        for (const Band& band : sequence_transform("haar").bands(n, block_levels(spec, n))) {
          const auto begin = bits.begin() + band.first, end = begin + band.count;
          EXPECT_TRUE(std::is_sorted(begin, end, std::greater<>()));
          EXPECT_LE(*begin - *(end - 1), 1);
          split += *begin != *(end - 1);
        }
        EXPECT_LE(split, 1) << min_bits << " " << average << " " << n;
      }
    }
  }
}

TEST(RowBits, WaterfillFollowsRelativePositionsAtOtherLengths) {
  std::vector<float> range2(128, 1e-4f);
  std::fill_n(range2.begin() + 64, 32, 1.0f);  // the third quarter needs the bits
  TokenSpec spec = spec_of("waterfill", "dct");
  spec.plan.average_bits = 3;
  for (const int64_t n : {64, 128, 512}) {
    const std::vector<uint8_t> bits = row_bits(spec, n, 0, range2);
    for (int64_t i = 0; i < n; ++i) {
      const bool third = 4 * i >= 2 * n && 4 * i < 3 * n;
      EXPECT_EQ(bits[static_cast<size_t>(i)] > 2, third) << n << " " << i;
    }
  }
}

TEST(RowBits, WaterfillMayDropRows) {
  TokenSpec spec = spec_of("waterfill", "dct");
  spec.plan.min_bits = 0;
  spec.plan.average_bits = 1;
  const std::vector<uint8_t> bits = row_bits(spec, 128, 0, falling(128));
  EXPECT_GT(bits[0], 2);
  EXPECT_EQ(bits[127], 0);
  EXPECT_LE(total(bits), 128);
}

TEST(RowBits, WaterfillWithoutCalibrationSaysSo) {
  try {
    row_bits(spec_of("waterfill"), 512, 0, {});
    FAIL();
  } catch (const std::invalid_argument& error) {
    EXPECT_NE(std::string(error.what()).find("calibrat"), std::string::npos);
  }
  TokenSpec poor = spec_of("waterfill");
  poor.plan.average_bits = 1;
  EXPECT_THROW(row_bits(poor, 512, 0, falling(512)), std::invalid_argument);
}

TEST(BlockLevels, AutoMatchesTheHighRows) {
  EXPECT_EQ(block_levels(spec_of("two_level"), 1024), 4);
  EXPECT_EQ(block_levels(spec_of("two_level"), 10), 0);  // every row is a high one
  EXPECT_EQ(block_levels(spec_of("fraction"), 64), 5);
  EXPECT_EQ(block_levels(spec_of("waterfill"), 64), 5);  // shorter than high_tokens: as fraction
  EXPECT_EQ(block_levels(spec_of("two_level", "dct"), 1024), 0);
  TokenSpec fixed = spec_of("two_level");
  fixed.sequence.levels = 3;
  EXPECT_EQ(block_levels(fixed, 1024), 3);
}

}  // namespace
}  // namespace stamp
