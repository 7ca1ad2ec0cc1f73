// The integer products: every instruction set must equal the scalar specification exactly.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr int64_t kPanel = 64;
constexpr int32_t kGuard = 0x5a5a5a5a;

class Integer : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!has_isa(GetParam())) GTEST_SKIP() << "this processor has no " << isa_name(GetParam());
  }
  const KernelTable& fast() const { return kernels_of(GetParam()); }
  const KernelTable& spec() const { return kernels_of(Isa::kScalar); }
};

/// How rows and panel are filled: at random within their limits, or with extremes that saturate.
enum class Fill { kRandom, kLowest, kHighest, kAlternating };
constexpr Fill kFills[] = {Fill::kRandom, Fill::kLowest, Fill::kHighest, Fill::kAlternating};

struct Problem {
  int64_t m, k, lda, ldc;
  std::vector<int8_t> a;
  std::vector<uint8_t> limits;  // per row
  std::vector<uint8_t> panel;   // bytes up to u_limit
  std::vector<uint8_t> nibbles;
  std::vector<int32_t> c;  // guards between rows and after them
};

int8_t row_value(Fill fill, int limit, int64_t p, Rng& rng) {
  const int highest = std::min(limit, 127);
  switch (fill) {
    case Fill::kRandom:
      return static_cast<int8_t>(static_cast<int>(rng.below(limit + highest + 1)) - limit);
    case Fill::kLowest:
      return static_cast<int8_t>(-limit);
    case Fill::kHighest:
      return static_cast<int8_t>(highest);
    case Fill::kAlternating:  // pairs of one sign: the worst case of sums of two products
      return static_cast<int8_t>(p / 2 % 2 ? highest : -limit);
  }
  return 0;
}

/// `limits` are dealt to the rows in turn.
Problem problem_of(int64_t m, int64_t k, const std::vector<int>& limits, int u_limit, Fill fill,
                   Rng& rng) {
  Problem q{m, k, k + static_cast<int64_t>(rng.below(9)),
            kPanel + static_cast<int64_t>(rng.below(5))};
  q.a.assign(static_cast<size_t>(m * q.lda), -128);
  for (int64_t i = 0; i < m; ++i) {
    const int limit = limits[static_cast<size_t>(i) % limits.size()];
    q.limits.push_back(static_cast<uint8_t>(limit));
    for (int64_t p = 0; p < k; ++p)
      q.a[static_cast<size_t>(i * q.lda + p)] = row_value(fill, limit, p, rng);
  }
  for (int64_t i = 0; i < k * kPanel; ++i)
    q.panel.push_back(static_cast<uint8_t>(
        fill == Fill::kRandom ? rng.below(static_cast<uint64_t>(u_limit) + 1) : u_limit));
  for (int64_t i = 0; i < k * kPanel / 2; ++i)
    q.nibbles.push_back(static_cast<uint8_t>(fill == Fill::kRandom ? rng.below(256) : 255));
  for (int64_t i = 0; i < m * q.ldc + kPanel; ++i) {
    const bool inside = i < m * q.ldc && i % q.ldc < kPanel;
    q.c.push_back(inside ? static_cast<int32_t>(rng.below(2001)) - 1000 : kGuard);
  }
  return q;
}

std::vector<int32_t> gemm_s8u8(const KernelTable& table, const Problem& q, int u_limit,
                               bool with_limits, int accumulate) {
  auto c = q.c;
  table.gemm_s8u8(q.a.data(), q.lda, q.panel.data(), c.data(), q.ldc, q.m, q.k,
                  with_limits ? q.limits.data() : nullptr, u_limit, accumulate);
  return c;
}

TEST_P(Integer, BytePanelsOfAnySize) {
  Rng rng(1);
  for (const int64_t m : {0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 16, 17, 31, 33})
    for (const int64_t k : {0, 4, 8, 12, 60, 64, 68, 128, 260, 512})
      for (const int u_limit : {15, 255})
        for (const int accumulate : {0, 1}) {
          const Problem q = problem_of(m, k, {128, 8, 127, 15, 1}, u_limit, Fill::kRandom, rng);
          const bool with_limits = rng.below(2) != 0;
          ASSERT_EQ(gemm_s8u8(fast(), q, u_limit, with_limits, accumulate),
                    gemm_s8u8(spec(), q, u_limit, with_limits, accumulate))
              << m << " x " << k << ", u_limit " << u_limit << ", accumulate " << accumulate;
        }
}

TEST_P(Integer, BytePanelsOfExtremes) {
  Rng rng(2);
  for (const Fill fill : kFills)
    for (const int limit : {1, 7, 8, 15, 32, 64, 127, 128})
      for (const int u_limit : {15, 255})
        for (const int64_t k : {64, 1024, 2048}) {
          const Problem q = problem_of(7, k, {limit}, u_limit, fill, rng);
          ASSERT_EQ(gemm_s8u8(fast(), q, u_limit, true, 0), gemm_s8u8(spec(), q, u_limit, true, 0))
              << "limits " << limit << " " << u_limit << ", k " << k;
        }
}

TEST_P(Integer, RowsOfManyLimitsInOneTile) {
  Rng rng(3);
  const Problem q = problem_of(64, 2048, {8, 8, 8, 128, 8, 8, 127}, 255, Fill::kAlternating, rng);
  EXPECT_EQ(gemm_s8u8(fast(), q, 255, true, 1), gemm_s8u8(spec(), q, 255, true, 1));
}

TEST_P(Integer, NibblePanels) {
  Rng rng(4);
  for (const Fill fill : kFills)
    for (int64_t m = 0; m <= 8; ++m)
      for (const int64_t k : {0, 8, 16, 24, 64, 128, 1016, 1024, 1032, 2056})
        for (const int limit : {8, 128}) {
          const Problem q = problem_of(m, k, {limit, 7}, 15, fill, rng);
          auto want = q.c, got = q.c;
          spec().gemm_s8u4(q.a.data(), q.lda, q.nibbles.data(), want.data(), q.ldc, m, k, nullptr);
          fast().gemm_s8u4(q.a.data(), q.lda, q.nibbles.data(), got.data(), q.ldc, m, k,
                           limit == 128 ? nullptr : q.limits.data());
          ASSERT_EQ(got, want) << m << " x " << k << ", limit " << limit;
        }
}

TEST_P(Integer, UnpackedNibblesAreTheSameWeights) {
  Rng rng(5);
  for (const int64_t k : {0, 8, 16, 64, 136}) {
    const Problem q = problem_of(3, k, {128}, 15, Fill::kRandom, rng);
    std::vector<uint8_t> want(static_cast<size_t>(k * kPanel + 64), 0x5a), got = want;
    spec().unpack_u4(q.nibbles.data(), want.data(), k);
    fast().unpack_u4(q.nibbles.data(), got.data(), k);
    ASSERT_EQ(got, want);
    auto from_nibbles = q.c, from_bytes = q.c;
    fast().gemm_s8u4(q.a.data(), q.lda, q.nibbles.data(), from_nibbles.data(), q.ldc, 3, k,
                     nullptr);
    fast().gemm_s8u8(q.a.data(), q.lda, got.data(), from_bytes.data(), q.ldc, 3, k, nullptr, 15, 0);
    ASSERT_EQ(from_nibbles, from_bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Integer, testing::ValuesIn(kAllIsas),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

}  // namespace
}  // namespace stamp
