// Transforms, quantizers and the way back in every instruction set, against the scalar kernels.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

std::vector<float> normals(Rng& rng, int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

/// Bit for bit, so that the sign of zero counts too.
void expect_same(const std::vector<float>& got, const std::vector<float>& want, int64_t a,
                 int64_t b) {
  for (size_t i = 0; i < want.size(); ++i)
    ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(want[i]))
        << a << " " << b << " at " << i;
}

class Transforms : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!has_isa(GetParam())) GTEST_SKIP() << "this processor has no " << isa_name(GetParam());
  }
  const KernelTable& fast() const { return kernels_of(GetParam()); }
  const KernelTable& spec() const { return kernels_of(Isa::kScalar); }
};

TEST_P(Transforms, HaarIsEqualBitForBit) {
  Rng rng(1);
  for (const int64_t rows : {0, 1, 3, 8, 31, 33, 64, 150})
    for (const int64_t cols : {0, 1, 16, 40})
      for (const int levels : {0, 1, 2, 3, 4, 5, 6, 20}) {
        const int64_t ldx = cols + 3, ldy = cols + 1;
        const auto x = normals(rng, rows * ldx);
        auto want = normals(rng, rows * ldy), got = want;  // what lies between rows stays
        spec().haar_lift(x.data(), ldx, want.data(), ldy, rows, cols, levels);
        fast().haar_lift(x.data(), ldx, got.data(), ldy, rows, cols, levels);
        expect_same(got, want, rows, levels);
        auto in_place = x, spec_in_place = x;
        spec().haar_lift(spec_in_place.data(), ldx, spec_in_place.data(), ldx, rows, cols, levels);
        fast().haar_lift(in_place.data(), ldx, in_place.data(), ldx, rows, cols, levels);
        expect_same(in_place, spec_in_place, rows, levels);
        spec().haar_unlift(want.data(), ldy, rows, cols, levels);
        fast().haar_unlift(got.data(), ldy, rows, cols, levels);
        expect_same(got, want, rows, levels);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t c = 0; c < cols; ++c)
            ASSERT_NEAR(got[static_cast<size_t>(i * ldy + c)], x[static_cast<size_t>(i * ldx + c)],
                        2e-6f);
      }
}

TEST_P(Transforms, WalshIsEqualBitForBit) {
  Rng rng(2);
  for (int64_t n = 1; n <= 1 << 16; n *= 2) {
    const auto x = normals(rng, n);
    std::vector<float> want(x.size()), got(x.size()), in_place = x;
    spec().walsh(x.data(), want.data(), n, 0.37f);
    fast().walsh(x.data(), got.data(), n, 0.37f);
    fast().walsh(in_place.data(), in_place.data(), n, 0.37f);
    expect_same(got, want, n, 0);
    expect_same(in_place, want, n, 1);
  }
}

TEST_P(Transforms, MinMaxFindsEveryPositionAndPassesOverNan) {
  for (const int64_t n : {0, 1, 15, 16, 17, 63, 64, 65, 200})
    for (int64_t at = 0; at <= n; ++at) {
      std::vector<float> x(static_cast<size_t>(n), 0.5f);
      if (at < n) x[static_cast<size_t>(at)] = at % 2 ? -3.0f : 2.0f;
      if (at > 0) x[static_cast<size_t>(at - 1)] = std::numeric_limits<float>::quiet_NaN();
      float want[2], got[2];
      spec().min_max(x.data(), n, &want[0], &want[1]);
      fast().min_max(x.data(), n, &got[0], &got[1]);
      ASSERT_EQ(std::bit_cast<uint32_t>(got[0]), std::bit_cast<uint32_t>(want[0]))
          << n << " " << at;
      ASSERT_EQ(std::bit_cast<uint32_t>(got[1]), std::bit_cast<uint32_t>(want[1]))
          << n << " " << at;
    }
}

/// Numbers of all kinds for a grid of step 0.5: ties, far outside, not finite.
std::vector<float> awkward(Rng& rng, int64_t n) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  auto x = normals(rng, n);
  for (int64_t i = 0; i < n; ++i) {
    float& value = x[static_cast<size_t>(i)];
    if (i % 3 == 0) value = 0.25f * static_cast<float>(static_cast<int>(rng.below(1200)) - 600);
    if (i % 17 == 5) value = i % 2 ? kInfinity : -kInfinity;
    if (i % 31 == 7) value = std::numeric_limits<float>::quiet_NaN();
    if (i % 37 == 9) value = i % 2 ? 3e38f : -3e38f;
  }
  return x;
}

TEST_P(Transforms, QuantizersAreEqualBitForBit) {
  Rng rng(3);
  struct Bounds {
    float low, high;
    int32_t offset;
  };
  for (const int64_t n : {0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 1000})
    for (const Bounds& b :
         {Bounds{-128, 127, 0}, Bounds{0, 255, -128}, Bounds{-3, 12, -5}, Bounds{-15, 0, 7}}) {
      const auto x = awkward(rng, n);
      std::vector<int8_t> want(x.size() + 1, 99), got = want;
      const int32_t want_sum =
          spec().quantize_s8(x.data(), want.data(), n, 2.0f, b.low, b.high, b.offset);
      EXPECT_EQ(fast().quantize_s8(x.data(), got.data(), n, 2.0f, b.low, b.high, b.offset),
                want_sum);
      ASSERT_EQ(got, want) << n;
      auto want_real = x, got_real = x;
      spec().snap_to_grid(want_real.data(), n, 0.5f, 2.0f, b.low, b.high);
      fast().snap_to_grid(got_real.data(), n, 0.5f, 2.0f, b.low, b.high);
      expect_same(got_real, want_real, n, 0);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(want_real[i], 0.5f * static_cast<float>(want[i] - b.offset));
    }
}

/// Everything that decode_s32 and decode_f32 read, for `rows` rows.
struct Sums {
  std::vector<int32_t> acc;
  std::vector<float> real, column_scale, column_sum, bias;
  std::vector<RowConstants> constants;

  Sums(Rng& rng, int64_t rows) {
    for (int64_t i = 0; i < rows * 64; ++i) {
      acc.push_back(static_cast<int32_t>(rng.below(200001)) - 100000);
      real.push_back(static_cast<float>(acc.back()));
    }
    column_scale = normals(rng, 64), column_sum = normals(rng, 64), bias = normals(rng, 64);
    for (float& sum : column_sum) sum = std::round(1000 * sum);
    for (int64_t i = 0; i < rows; ++i)
      constants.push_back({1e-4f * static_cast<float>(1 + rng.below(9)),
                           static_cast<int32_t>(rng.below(9000)) - 4500,
                           static_cast<int32_t>(rng.below(256)) - 128});
  }
};

TEST_P(Transforms, DecodersUndoEveryNumberOfLevels) {
  Rng rng(4);
  constexpr int64_t kStride = 80;
  for (const int levels : {0, 1, 2, 3, 4, 5, 6, 9}) {
    for (const int64_t runs : {1, 2}) {
      const int64_t rows = runs << levels;
      const Sums s(rng, rows);
      for (const int mode : {0, 1, 2}) {  // write, add, past the caches
        const auto before = normals(rng, rows * kStride + 16);
        auto want = before, got = before, want_real = before, got_real = before;
        const size_t aligned =  // floats to the next line
            (64 - reinterpret_cast<uintptr_t>(got.data()) % 64) % 64 / sizeof(float);
        const auto run = [&](const KernelTable& table, std::vector<float>& y, bool real) {
          float* out = y.data() + (&y == &want || &y == &want_real ? 0 : aligned);
          if (real)
            table.decode_f32(s.real.data(), rows, levels, s.bias.data(), out, kStride, mode == 1,
                             mode == 2);
          else
            table.decode_s32(s.acc.data(), s.constants.data(), rows, levels, 8,
                             s.column_scale.data(), s.column_sum.data(), s.bias.data(), out,
                             kStride, mode == 1, mode == 2);
        };
        std::copy(before.begin(), before.end() - 16, got.begin() + static_cast<long>(aligned));
        got_real = got;
        run(spec(), want, false), run(fast(), got, false);
        run(spec(), want_real, true), run(fast(), got_real, true);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < kStride; ++j) {
            const auto at = static_cast<size_t>(i * kStride + j);
            const float tolerance = j < 64 ? 1e-3f : 0;  // of sums up to 1e3, and of 1e5
            ASSERT_NEAR(got[at + aligned], want[at], tolerance) << levels << " " << mode;
            ASSERT_NEAR(got_real[at + aligned], want_real[at], 200 * tolerance)
                << levels << " " << mode;
          }
      }
    }
  }
}

TEST_P(Transforms, GroupsAddUp) {
  Rng rng(5);
  for (const int64_t rows : {1, 7, 96}) {
    const Sums s(rng, rows);
    std::vector<int32_t> column_sum;
    for (const float sum : s.column_sum) column_sum.push_back(static_cast<int32_t>(sum));
    for (const int accumulate : {0, 1}) {
      const auto before = normals(rng, rows * 64 + 1);
      auto want = before, got = before;
      for (const auto& [table, y] : {std::pair(&spec(), &want), std::pair(&fast(), &got)})
        table->add_scaled_s32(s.acc.data(), s.constants.data(), rows, 8, s.column_scale.data(),
                              column_sum.data(), y->data(), accumulate);
      for (size_t i = 0; i < got.size(); ++i) {
        const bool beyond = i + 1 == got.size();
        ASSERT_NEAR(got[i], want[i], beyond ? 0 : 1e-4f * (1 + std::abs(want[i])));
        if (!beyond) {
          ASSERT_NE(want[i], before[i]);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, Transforms, testing::ValuesIn(kAllIsas),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

}  // namespace
}  // namespace stamp
