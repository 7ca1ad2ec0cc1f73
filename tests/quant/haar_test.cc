#include "stamp/quant/haar.h"

#include <gtest/gtest.h>

#include <numbers>

#include "tests/quant/matrices.h"

namespace stamp {
namespace {

constexpr float kRoot2 = static_cast<float>(std::numbers::sqrt2);

/// [A_1, D_1] of one column by definition.
std::vector<double> one_level(const std::vector<double>& x) {
  std::vector<double> approximation, detail;
  for (size_t i = 0; i + 1 < x.size(); i += 2) {
    approximation.push_back((x[i] + x[i + 1]) / std::numbers::sqrt2);
    detail.push_back((x[i] - x[i + 1]) / std::numbers::sqrt2);
  }
  if (x.size() % 2 == 1) approximation.push_back(x.back());
  approximation.insert(approximation.end(), detail.begin(), detail.end());
  return approximation;
}

std::vector<double> definition(std::vector<double> x, int levels) {
  size_t length = x.size();
  for (int level = 0; level < levels && length > 1; ++level) {
    const std::vector<double> part =
        one_level({x.begin(), x.begin() + static_cast<std::ptrdiff_t>(length)});
    std::copy(part.begin(), part.end(), x.begin());
    length = (length + 1) / 2;
  }
  return x;
}

TEST(Haar, EightNumbersByHand) {
  Matrix x = column({1, 3, 5, 11, 12, 8, 4, 0});
  haar_forward(x.view(), 2);
  const Matrix expected = column({10, 12, -6, 8, -kRoot2, -3 * kRoot2, 2 * kRoot2, 2 * kRoot2});
  EXPECT_LT(largest_difference(x, expected), 1e-5);
  Matrix y = column({1, 3, 5, 11, 12, 8, 4, 0});
  haar_forward(y.view(), 99);  // capped at three levels
  EXPECT_NEAR(y(0, 0), 44 / std::sqrt(8.0), 1e-5);
  EXPECT_NEAR(y(1, 0), -kRoot2, 1e-5);
}

TEST(Haar, TheLastRowOfAnOddLengthPassesUnscaled) {
  Matrix x = column({1, 3, 7});
  haar_forward(x.view(), 1);
  EXPECT_LT(largest_difference(x, column({2 * kRoot2, 7, -kRoot2})), 1e-6);
}

TEST(Haar, EqualsTheDefinition) {
  for (const int64_t n : {1, 2, 3, 6, 11, 50, 127, 255}) {
    for (const int levels : {0, 1, 3, 8}) {
      Matrix x = random_matrix(n, 1, 5);
      const std::vector<double> expected = definition({x.data(), x.data() + n}, levels);
      haar_forward(x.view(), levels);
      for (int64_t i = 0; i < n; ++i) ASSERT_NEAR(x(i, 0), expected[static_cast<size_t>(i)], 1e-5);
    }
  }
}

TEST(Haar, BandsAreTheSubbands) {
  const std::vector<Band> bands = haar_bands(11, 2);  // 11 -> 6 + 5, 6 -> 3 + 3
  ASSERT_EQ(bands.size(), 3u);
  EXPECT_EQ(bands[0].count, 3);
  EXPECT_EQ(bands[1].first, 3);
  EXPECT_EQ(bands[1].count, 3);
  EXPECT_EQ(bands[2].first, 6);
  EXPECT_EQ(bands[2].count, 5);
}

TEST(Haar, MaxLevelsIsTheCeilingOfLog2) {
  EXPECT_EQ(haar_max_levels(1), 0);
  EXPECT_EQ(haar_max_levels(2), 1);
  EXPECT_EQ(haar_max_levels(5), 3);
  EXPECT_EQ(haar_max_levels(1024), 10);
  EXPECT_EQ(haar_max_levels(1025), 11);
}

}  // namespace
}  // namespace stamp
