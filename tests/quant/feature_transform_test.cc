#include "stamp/quant/feature_transform.h"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "tests/quant/matrices.h"

namespace stamp {
namespace {

/// H H^T = n I for a +-1 matrix, rows packed into words.
bool is_hadamard(const Matrix& h) {
  const int64_t n = h.rows(), words = (n + 63) / 64;
  std::vector<uint64_t> packed(static_cast<size_t>(n * words));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      if (std::abs(h(i, j)) != 1) return false;
      if (h(i, j) < 0) packed[static_cast<size_t>(i * words + j / 64)] |= uint64_t{1} << (j % 64);
    }
  }
  for (int64_t a = 0; a < n; ++a) {
    for (int64_t b = 0; b < a; ++b) {
      int64_t different = 0;
      for (int64_t w = 0; w < words; ++w) {
        different += std::popcount(packed[static_cast<size_t>(a * words + w)] ^
                                   packed[static_cast<size_t>(b * words + w)]);
      }
      if (2 * different != n) return false;
    }
  }
  return true;
}

TEST(HadamardMatrix, EveryOrderUpTo1024IsOrthogonal) {
  int orders = 0;
  for (int64_t n = 1; n <= 1024; ++n) {
    if (!has_hadamard(n)) continue;
    ++orders;
    // K (x) Sylvester is orthogonal when K is: large products repeat what smaller ones proved.
    if (n > 192 && hadamard_odd_part(n) != n) continue;
    EXPECT_TRUE(is_hadamard(hadamard_matrix(n))) << n;
  }
  EXPECT_GT(orders, 150);
}

TEST(HadamardMatrix, NamedOrdersExist) {
  for (const int64_t odd : {4, 12, 20, 28, 36, 40, 44, 52, 60, 76, 108, 140, 148, 172}) {
    EXPECT_TRUE(has_hadamard(odd)) << odd;
    EXPECT_TRUE(is_hadamard(hadamard_matrix(odd))) << odd;
    EXPECT_TRUE(has_hadamard(odd * 64)) << odd;
  }
  for (const int64_t size :
       {4096, 14336, 3072, 896, 4864, 8960, 11008, 18944, 13824, 29568, 1152, 5600}) {
    EXPECT_TRUE(has_hadamard(size)) << size;
  }
}

TEST(HadamardMatrix, OthersAreErrors) {
  for (const int64_t order : {-4, 0, 3, 6, 14, 92, 156}) {
    EXPECT_FALSE(has_hadamard(order));
    EXPECT_THROW(hadamard_matrix(order), std::invalid_argument) << order;
  }
  EXPECT_THROW(hadamard_matrix(int64_t{1} << 40), std::invalid_argument);
}

TEST(PlanHadamard, PrefersWholeThenHeadsThenBlocks) {
  EXPECT_EQ(plan_hadamard(1024).description, "H_1024");
  EXPECT_EQ(plan_hadamard(384).description, "H_384 = H_12 x H_32");
  EXPECT_EQ(plan_hadamard(172).description, "H_172");
  EXPECT_EQ(plan_hadamard(14 * 64).odd, 28);  // 896 = 28 * 32
  const HadamardPlan heads = plan_hadamard(14, 2);
  EXPECT_EQ(heads.order, 2);
  EXPECT_EQ(heads.description, "I_7 x H_2");
  EXPECT_EQ(plan_hadamard(6, 3).order, 2);
  EXPECT_EQ(plan_hadamard(7).order, 1);
  EXPECT_THROW(plan_hadamard(0), std::invalid_argument);
  EXPECT_THROW(plan_hadamard(-8), std::invalid_argument);
}

TEST(ApplyHadamard, EqualsTheDenseProduct) {
  for (const int64_t n : {1, 2, 4, 8, 12, 20, 28, 36, 52, 64, 96, 172, 384}) {
    const HadamardPlan plan = plan_hadamard(n);
    ASSERT_EQ(plan.order, n);
    Matrix h = hadamard_matrix(n);
    for (int64_t i = 0; i < h.size(); ++i) h.data()[i] /= std::sqrt(static_cast<float>(n));
    const Matrix x = random_matrix(5, n);
    Matrix y = x;
    apply_hadamard(y.view(), plan);
    EXPECT_LT(largest_difference(y, product(x, h)), 2e-6) << n;
  }
}

TEST(ApplyHadamard, RotatesBothSidesOfALinearLayerAway) {
  for (const auto& [n, head_dim] :
       {std::pair<int64_t, int64_t>{48, 0}, {14, 2}, {23 * 4, 4}, {10, 0}}) {
    Matrix x = random_matrix(6, n), weight = random_matrix(9, n, 2);
    const auto outputs = [&] {
      Matrix transposed(n, 9);
      for (int64_t i = 0; i < 9; ++i) {
        for (int64_t j = 0; j < n; ++j) transposed(j, i) = weight(i, j);
      }
      return product(x, transposed);
    };
    const Matrix before = outputs();
    const HadamardPlan plan = plan_hadamard(n, head_dim);
    apply_hadamard(x.view(), plan);
    apply_hadamard(weight.view(), plan);
    EXPECT_LT(largest_difference(before, outputs()), 2e-5) << n;
  }
}

TEST(ApplyHadamard, RefusesPlansThatDoNotFit) {
  Matrix x = random_matrix(2, 10);
  EXPECT_THROW(apply_hadamard(x.view(), plan_hadamard(4)), std::invalid_argument);
  EXPECT_THROW(apply_hadamard(x.view(), HadamardPlan{.order = 0}), std::invalid_argument);
  EXPECT_THROW(apply_hadamard(x.view(), (HadamardPlan{.order = 10, .odd = 5})),
               std::invalid_argument);
}

}  // namespace
}  // namespace stamp
