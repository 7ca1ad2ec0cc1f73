// Every instruction set against the scalar specification, over random sizes, strides and tails.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr float kGuard = 12345.0f;  // written around outputs: nothing may touch it

std::vector<float> normals(Rng& rng, int64_t count, double scale = 1.0) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(scale * rng.normal());
  return values;
}

class Conformance : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!has_isa(GetParam())) GTEST_SKIP() << "this processor has no " << isa_name(GetParam());
  }
  const KernelTable& fast() const { return kernels_of(GetParam()); }
  const KernelTable& spec() const { return kernels_of(Isa::kScalar); }
};

const int64_t kSizes[] = {0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257};

TEST_P(Conformance, EveryEntryIsSet) {
#define STAMP_KERNEL(name, ...) EXPECT_NE(fast().name, nullptr) << #name;
#include "stamp/kernels/kernels.def"
#undef STAMP_KERNEL
}

void check_gemm(const KernelTable& fast, const KernelTable& spec, int64_t m, int64_t n, int64_t k,
                int accumulate, Rng& rng) {
  const int64_t lda = k + 3, ldb = n + 5, ldc = n + 2;
  const auto a = normals(rng, m * lda), b = normals(rng, k * ldb);
  auto want = normals(rng, m * ldc);
  auto got = want;
  spec.gemm_f32(a.data(), lda, b.data(), ldb, want.data(), ldc, m, n, k, accumulate);
  fast.gemm_f32(a.data(), lda, b.data(), ldb, got.data(), ldc, m, n, k, accumulate);
  // Products of unit normals: the rounding of k additions stays below 4 sqrt(k) ulp of sqrt(k).
  const float tolerance = 4e-7f * static_cast<float>(k + 4);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < ldc; ++j) {
      const size_t at = static_cast<size_t>(i * ldc + j);
      if (j >= n)
        ASSERT_EQ(got[at], want[at]) << "touched beyond column " << n;
      else
        ASSERT_NEAR(got[at], want[at], tolerance) << m << "x" << n << "x" << k;
    }
}

TEST_P(Conformance, GemmOfAnySize) {
  Rng rng(1);
  for (const int64_t m : {0, 1, 2, 3, 4, 5, 6, 7, 13})
    for (const int64_t n : kSizes)
      for (const int64_t k : {0, 1, 5, 64})
        check_gemm(fast(), spec(), m, n, k, static_cast<int>(rng.below(2)), rng);
  check_gemm(fast(), spec(), 256, 64, 128, 0, rng);
  check_gemm(fast(), spec(), 64, 128, 64, 1, rng);
}

template <class Element>
void check_gemv(void (*fast)(const float*, const Element*, int64_t, float*, int64_t,
                             int64_t) noexcept,
                void (*spec)(const float*, const Element*, int64_t, float*, int64_t,
                             int64_t) noexcept,
                Element (*narrow)(float)) {
  Rng rng(2);
  for (const int64_t k : kSizes)
    for (const int64_t rows : {0, 1, 3, 4, 5, 11}) {
      const int64_t ldw = k + 3;
      const auto x = normals(rng, k);
      std::vector<Element> w;
      for (const float value : normals(rng, rows * ldw)) w.push_back(narrow(value));
      std::vector<float> want(static_cast<size_t>(rows + 1), kGuard), got = want;
      spec(x.data(), w.data(), ldw, want.data(), rows, k);
      fast(x.data(), w.data(), ldw, got.data(), rows, k);
      for (int64_t j = 0; j <= rows; ++j)
        ASSERT_NEAR(got[static_cast<size_t>(j)], want[static_cast<size_t>(j)],
                    j < rows ? 4e-7f * static_cast<float>(k + 4) : 0.0f)
            << rows << "x" << k;
    }
}

TEST_P(Conformance, GemvOfEveryWeightType) {
  check_gemv<float>(fast().gemv_f32, spec().gemv_f32, [](float x) { return x; });
  check_gemv<bf16>(fast().gemv_bf16, spec().gemv_bf16, f32_to_bf16);
  check_gemv<f16>(fast().gemv_f16, spec().gemv_f16, f32_to_f16);
}

TEST_P(Conformance, TransposeIsExact) {
  Rng rng(3);
  for (const int64_t rows : {0, 1, 7, 8, 9, 24, 64})
    for (const int64_t cols : {0, 1, 8, 15, 16, 65, 128}) {
      const auto x = normals(rng, rows * (cols + 1));
      std::vector<float> want(static_cast<size_t>(cols * (rows + 2)), kGuard), got = want;
      spec().transpose_f32(x.data(), cols + 1, want.data(), rows + 2, rows, cols);
      fast().transpose_f32(x.data(), cols + 1, got.data(), rows + 2, rows, cols);
      ASSERT_EQ(got, want) << rows << "x" << cols;
    }
}

TEST_P(Conformance, ConversionsAreExact) {
  std::vector<float> values;
  std::vector<uint16_t> bits;
  for (uint32_t i = 0; i < 65536; ++i) {
    bits.push_back(static_cast<uint16_t>(i));
    for (const uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      values.push_back(std::bit_cast<float>(i << 16 | low));
  }
  values.pop_back();  // a tail
  bits.pop_back();
  std::vector<bf16> want(values.size()), got(values.size());
  spec().to_bf16(values.data(), want.data(), static_cast<int64_t>(values.size()));
  fast().to_bf16(values.data(), got.data(), static_cast<int64_t>(values.size()));
  EXPECT_EQ(got, want);
  for (const auto& [fast_widen, spec_widen] : {std::pair(fast().from_bf16, spec().from_bf16),
                                               std::pair(fast().from_f16, spec().from_f16)}) {
    std::vector<float> wide_want(bits.size()), wide_got(bits.size());
    spec_widen(bits.data(), wide_want.data(), static_cast<int64_t>(bits.size()));
    fast_widen(bits.data(), wide_got.data(), static_cast<int64_t>(bits.size()));
    for (size_t i = 0; i < bits.size(); ++i) {
      if (std::isnan(wide_want[i]))
        ASSERT_TRUE(std::isnan(wide_got[i])) << i;
      else
        ASSERT_EQ(std::bit_cast<uint32_t>(wide_got[i]), std::bit_cast<uint32_t>(wide_want[i])) << i;
    }
  }
}

TEST_P(Conformance, ExpIsAccurateOverItsRange) {
  std::vector<float> x;
  for (double t = -87.0; t <= 88.0; t += 0.0037) x.push_back(static_cast<float>(t));
  auto got = x;
  fast().exp_scaled(got.data(), static_cast<int64_t>(got.size()), 1.0f, 0.0f);
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_NEAR(got[i] / std::exp(static_cast<double>(x[i])), 1.0, 4e-7) << x[i];
}

TEST_P(Conformance, ExpSumsScalesAndShifts) {
  Rng rng(4);
  for (const int64_t n : kSizes) {
    auto want = normals(rng, n, 3.0);
    auto got = want;
    const float want_sum = spec().exp_scaled(want.data(), n, 0.7f, 1.5f);
    const float got_sum = fast().exp_scaled(got.data(), n, 0.7f, 1.5f);
    EXPECT_NEAR(got_sum, want_sum, 2e-6f * want_sum);
    for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-6f * want[i]);
  }
}

TEST_P(Conformance, ExpOfTheFarLeftIsZeroAndNanStaysNan) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> x(17, 0.0f);
  x[0] = -infinity, x[1] = -88.0f, x[16] = -1e30f;
  fast().exp_scaled(x.data(), 17, 1.0f, 0.0f);
  EXPECT_EQ(x[0], 0.0f);
  EXPECT_EQ(x[1], 0.0f);
  EXPECT_EQ(x[2], 1.0f);
  EXPECT_EQ(x[16], 0.0f);
  x[5] = std::nanf("");
  EXPECT_TRUE(std::isnan(fast().exp_scaled(x.data(), 17, 1.0f, 0.0f)));
  EXPECT_TRUE(std::isnan(x[5]));
}

TEST_P(Conformance, MaxFindsEveryPosition) {
  for (const int64_t n : kSizes)
    for (int64_t at = 0; at < n; ++at) {
      std::vector<float> x(static_cast<size_t>(n), -5.0f);
      x[static_cast<size_t>(at)] = -2.0f;
      ASSERT_EQ(fast().max_f32(x.data(), n), -2.0f) << n << " " << at;
    }
}

TEST_P(Conformance, SiluAndNorm) {
  Rng rng(5);
  for (const int64_t n : kSizes) {
    const auto x = normals(rng, n, 4.0), w = normals(rng, n);
    auto want = x, got = x;  // aliased with the input
    spec().silu_mul(want.data(), w.data(), want.data(), n);
    fast().silu_mul(got.data(), w.data(), got.data(), n);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-6f * std::abs(want[i]));
    want = got = x;
    spec().rms_norm(want.data(), w.data(), 1e-5f, want.data(), n);
    fast().rms_norm(got.data(), w.data(), 1e-5f, got.data(), n);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-6f * std::abs(want[i]));
  }
}

TEST_P(Conformance, GeluWithAndWithoutGate) {
  Rng rng(11);
  for (const int64_t n : kSizes) {
    const auto x = normals(rng, n, 3.0), up = normals(rng, n);
    for (const float* factor : {static_cast<const float*>(nullptr), up.data()}) {
      auto want = x, got = x;
      spec().gelu_mul(want.data(), factor, want.data(), n);
      fast().gelu_mul(got.data(), factor, got.data(), n);
      for (size_t i = 0; i < x.size(); ++i) {
        const float scale = std::abs(factor ? factor[i] : 1.0f);
        ASSERT_NEAR(got[i], want[i], 2e-6f * (std::abs(want[i]) + 1e-3f * scale)) << x[i];
      }
    }
  }
  std::vector<float> extremes = {-1e4f, -20.0f, 0.0f, 20.0f, 1e4f};
  fast().gelu_mul(extremes.data(), nullptr, extremes.data(), 5);
  EXPECT_NEAR(extremes[0], 0.0f, 1e-30f);
  EXPECT_NEAR(extremes[1], 0.0f, 1e-30f);
  EXPECT_EQ(extremes[2], 0.0f);
  EXPECT_EQ(extremes[3], 20.0f);
  EXPECT_EQ(extremes[4], 1e4f);
}

TEST_P(Conformance, GeluIsTheTanhForm) {
  for (float x = -6.0f; x < 6.0f; x += 0.37f) {
    float y = 0;
    fast().gelu_mul(&x, nullptr, &y, 1);
    const double u = std::sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x);
    EXPECT_NEAR(y, 0.5 * x * (1 + std::tanh(u)), 1e-6) << x;
  }
}

TEST_P(Conformance, LayerNorm) {
  Rng rng(12);
  for (const int64_t n : kSizes) {
    if (n == 0) continue;
    auto x = normals(rng, n);
    for (float& value : x) value += 5.0f;  // a mean far from zero
    const auto scale = normals(rng, n), shift = normals(rng, n);
    auto want = x, got = x;
    spec().layer_norm(want.data(), scale.data(), shift.data(), 1e-2f, want.data(), n);
    fast().layer_norm(got.data(), scale.data(), shift.data(), 1e-2f, got.data(), n);
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_NEAR(got[i], want[i], 1e-5f * (1 + std::abs(want[i]))) << n;
  }
}

TEST_P(Conformance, SiluOfExtremes) {
  std::vector<float> gate = {-200.0f, -90.0f, 0.0f, 90.0f, 200.0f}, up(5, 1.0f), y(5);
  fast().silu_mul(gate.data(), up.data(), y.data(), 5);
  EXPECT_NEAR(y[0], 0.0f, 1e-35f);
  EXPECT_NEAR(y[1], 0.0f, 1e-35f);
  EXPECT_EQ(y[2], 0.0f);
  EXPECT_EQ(y[3], 90.0f);
  EXPECT_EQ(y[4], 200.0f);
}

INSTANTIATE_TEST_SUITE_P(Isa, Conformance, testing::ValuesIn(kAllIsas),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

TEST(Kernels, ActiveTableIsThatOfTheActiveIsa) {
  EXPECT_EQ(kernels().gemm_f32, kernels_of(active_isa()).gemm_f32);
}

}  // namespace
}  // namespace stamp
