// Attention over packed blocks: the scalar kernels against the plain definition, every instruction
// set against the scalar one. (Packed panels are tested with their layouts, in tests/nn.)
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

std::vector<float> normals(Rng& rng, size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

std::vector<uint8_t> bytes(Rng& rng, size_t count) {
  std::vector<uint8_t> values(count);
  for (uint8_t& value : values) value = static_cast<uint8_t>(rng.below(256));
  return values;
}

int row_of_slot(int levels, int slot) {
  const int quarter = slot / 16, i = slot % 16;
  if (levels == 0) return 4 * i + quarter;
  if (levels > 1 && quarter < 2) return slot;
  return quarter / 2 * 32 + 2 * i + quarter % 2;
}

/// x[token] = sum of the rows of the orthonormal Haar transform, as doubles.
std::vector<double> inverse_haar(std::vector<double> x, int levels) {
  for (size_t length = 64u >> levels; length < 64; length *= 2) {
    std::vector<double> y(2 * length);
    for (size_t i = 0; i < length; ++i) {
      y[2 * i] = (x[i] + x[length + i]) * std::sqrt(0.5);
      y[2 * i + 1] = (x[i] - x[length + i]) * std::sqrt(0.5);
    }
    std::copy(y.begin(), y.end(), x.begin());
  }
  return x;
}

/// sqrt(1/2) for every level that the row of a slot goes through.
std::vector<float> factors(int levels) {
  std::vector<float> result;
  for (int slot = 0; slot < 64; ++slot) {
    int depth = levels;
    for (int row = row_of_slot(levels, slot), first = 64 >> levels; row >= first && depth > 1;
         first *= 2)
      if (row >= 2 * first) --depth;
    result.push_back(static_cast<float>(std::pow(0.5, depth / 2.0)));
  }
  return result;
}

struct Case {
  int levels, planes;
  int64_t m;
  std::vector<float> scale;
  std::vector<uint8_t> zero;
};

template <class Body>
void for_each_case(Rng& rng, Body&& body) {
  for (int levels = 0; levels <= 6; ++levels)
    for (const int planes : {1, 2})
      for (const int64_t m : {1, 4, 33}) {
        Case c{levels, planes, m, normals(rng, 64), bytes(rng, 64)};
        const std::vector<float> factor = factors(levels);
        for (size_t s = 0; s < 64; ++s) c.scale[s] = (std::abs(c.scale[s]) + 0.1f) * factor[s];
        body(c);
      }
}

std::vector<int32_t> random_sums(Rng& rng, const Case& c) {
  std::vector<int32_t> sums(static_cast<size_t>(c.planes * c.m * 64));
  for (int32_t& sum : sums) sum = static_cast<int32_t>(rng.below(400000)) - 200000;
  return sums;
}

double plane_sum(const std::vector<int32_t>& sums, const Case& c, int64_t row, int64_t column) {
  const double high = sums[static_cast<size_t>(row * 64 + column)];
  if (c.planes == 1) return high;
  return 256 * high + sums[static_cast<size_t>((c.m + row) * 64 + column)];
}

class KvKernels : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override { ASSERT_TRUE(has_isa(GetParam())); }
  const KernelTable& kernel() const { return kernels_of(GetParam()); }
  const KernelTable& spec() const { return kernels_of(Isa::kScalar); }
};

TEST_P(KvKernels, ScoresAreTheInverseTransformOfScaledSums) {
  Rng rng(1);
  for_each_case(rng, [&](const Case& c) {
    const std::vector<int32_t> sums = random_sums(rng, c);
    const auto q_scale = normals(rng, static_cast<size_t>(c.m));
    const auto q_sum = normals(rng, static_cast<size_t>(c.m));
    std::vector<float> scores(static_cast<size_t>(c.m * 64), 7.0f);
    for (const int accumulate : {0, 1}) {  // the second adds to what the first wrote
      kernel().kv_scores(sums.data(), c.planes, q_scale.data(), q_sum.data(), c.scale.data(),
                         c.zero.data(), c.levels, scores.data(), c.m, accumulate);
      for (int64_t i = 0; i < c.m; ++i) {
        std::vector<double> x(64);
        double largest = 0;
        for (int s = 0; s < 64; ++s) {
          const auto at = static_cast<size_t>(s);
          const double sum = plane_sum(sums, c, i, s) * q_scale[static_cast<size_t>(i)];
          const double value =
              (sum - static_cast<double>(c.zero[at]) * q_sum[static_cast<size_t>(i)]) *
              c.scale[at] / factors(c.levels)[at];
          x[static_cast<size_t>(row_of_slot(c.levels, s))] = value;
          largest = std::max(largest, std::abs(value));
        }
        const std::vector<double> want = inverse_haar(x, c.levels);
        for (int s = 0; s < 64; ++s)
          ASSERT_NEAR(scores[static_cast<size_t>(i * 64 + s)],
                      want[static_cast<size_t>(4 * (s % 16) + s / 16)] * (accumulate ? 2 : 1),
                      1e-5 * largest)
              << c.levels << " levels, " << c.planes << " planes, slot " << s;
      }
    }
  });
}

TEST_P(KvKernels, WeightsAreTheCodesOfTheTransform) {
  Rng rng(2);
  for_each_case(rng, [&](const Case& c) {
    std::vector<float> p = normals(rng, static_cast<size_t>(c.m * 64));
    std::fill_n(p.begin(), c.m > 1 ? 64 : 0, 0.0f);
    std::vector<int8_t> codes(static_cast<size_t>(c.planes * c.m * 64), 99);
    std::vector<float> scale(static_cast<size_t>(c.m)), offset(scale);
    kernel().kv_weights(p.data(), c.scale.data(), c.zero.data(), c.levels, c.planes, codes.data(),
                        scale.data(), offset.data(), c.m);
    const double top = c.planes == 2 ? 32639 : 127;
    for (int64_t i = 0; i < c.m; ++i) {
      double largest = 0, error = 0, want_offset = 0;
      for (int s = 0; s < 64; ++s) {
        // Column s of L^-1 is row s of L.
        std::vector<double> unit(64);
        unit[static_cast<size_t>(row_of_slot(c.levels, s))] = 1;
        const std::vector<double> row = inverse_haar(unit, c.levels);
        double want = 0;
        for (int t = 0; t < 64; ++t)
          want += row[static_cast<size_t>(t)] * p[static_cast<size_t>(i * 64 + t % 4 * 16 + t / 4)];
        want *= c.scale[static_cast<size_t>(s)] / factors(c.levels)[static_cast<size_t>(s)];
        const auto at = static_cast<size_t>(i * 64 + s);
        const double code = c.planes == 2
                                ? 256.0 * codes[at] + codes[at + static_cast<size_t>(c.m * 64)]
                                : codes[at];
        largest = std::max(largest, std::abs(want));
        error = std::max(error, std::abs(want - code * scale[static_cast<size_t>(i)]));
        want_offset += code * scale[static_cast<size_t>(i)] * c.zero[static_cast<size_t>(s)];
      }
      ASSERT_LE(error, 0.502 / top * largest + 1e-6 * largest + 1e-30);
      ASSERT_NEAR(offset[static_cast<size_t>(i)], want_offset, 1e-3 * largest + 1e-25);
    }
  });
}

TEST_P(KvKernels, ValuesAddScaledSums) {
  Rng rng(3);
  for_each_case(rng, [&](const Case& c) {
    const std::vector<int32_t> sums = random_sums(rng, c);
    const auto scale = normals(rng, static_cast<size_t>(c.m));
    const auto offset = normals(rng, static_cast<size_t>(c.m));
    for (const int64_t n : {1, 16, 24, 63, 64}) {
      const int64_t stride = n + 3;
      const auto before = normals(rng, static_cast<size_t>(c.m * stride));
      auto out = before;
      const int64_t first = 64 - n;  // the last columns: nothing follows those of the last row
      kernel().kv_values(sums.data() + first, c.planes, scale.data(), offset.data(), out.data(),
                         stride, c.m, n);
      for (int64_t i = 0; i < c.m; ++i)
        for (int64_t j = 0; j < stride; ++j) {
          const auto at = static_cast<size_t>(i * stride + j), row = static_cast<size_t>(i);
          if (j >= n)
            ASSERT_EQ(out[at], before[at]) << "touched beyond column " << n;
          else
            ASSERT_NEAR(out[at],
                        before[at] + scale[row] * plane_sum(sums, c, i, first + j) - offset[row],
                        1e-6 * (1 + std::abs(scale[row]) * 6e7));
        }
    }
  });
}

TEST_P(KvKernels, SplitCodesAreExact) {
  Rng rng(4);
  for (const int64_t n : {1, 4, 15, 63, 64, 65, 80, 200}) {
    std::vector<float> x = normals(rng, static_cast<size_t>(n));
    x[0] = std::nanf("");
    for (const int planes : {1, 2})
      for (const float factor : {20.0f, 9000.0f, 1e6f}) {
        std::vector<int8_t> high(static_cast<size_t>(n + 1), 99), low(high), want_high(high),
            want_low(high);
        const int32_t sum =
            kernel().split_codes(x.data(), n, factor, planes, high.data(), low.data());
        EXPECT_EQ(sum,
                  kernels_of(Isa::kScalar)
                      .split_codes(x.data(), n, factor, planes, want_high.data(), want_low.data()));
        EXPECT_EQ(high, want_high);
        EXPECT_EQ(low, want_low);
        for (size_t i = 1; i < x.size(); ++i) {
          const double top = planes == 2 ? 32639 : 127;
          const double code = planes == 2 ? 256.0 * high[i] + low[i] : high[i];
          ASSERT_LE(std::abs(code - std::clamp(static_cast<double>(x[i]) * factor, -top, top)),
                    0.51);
        }
      }
  }
}

TEST_P(KvKernels, ScaleF16WidensExactly) {
  for (const int64_t n : {1, 15, 16, 17, 64}) {
    std::vector<f16> x;
    std::vector<float> factor, y(static_cast<size_t>(n + 1), 7.0f);
    for (int64_t i = 0; i < n; ++i) {
      x.push_back(static_cast<f16>(400 * i + 1));
      factor.push_back(static_cast<float>(i) * 0.3f);
    }
    kernel().scale_f16(x.data(), factor.data(), y.data(), n);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], f16_to_f32(x[i]) * factor[i]);
    EXPECT_EQ(y.back(), 7.0f);
  }
}

TEST_P(KvKernels, SoftmaxRunsOverTiles) {
  Rng rng(5);
  const float scale = 0.7f;
  for (const int64_t m : {1, 4, 7, 33}) {
    const auto rows = static_cast<size_t>(m);
    std::vector<float> peak(rows, -std::numeric_limits<float>::infinity()), sum(rows), shrink(rows);
    std::vector<std::vector<double>> seen(rows);
    std::vector<double> total(rows);
    for (int tile = 0; tile < 4; ++tile) {
      std::vector<float> scores = normals(rng, rows * 64);
      for (float& score : scores) score *= tile == 2 ? 200.0f : 5.0f;
      const std::vector<float> before = scores, old = peak;
      kernel().running_softmax(scores.data(), peak.data(), sum.data(), shrink.data(), scale, m);
      for (size_t i = 0; i < rows; ++i) {
        seen[i].insert(seen[i].end(), before.begin() + static_cast<long>(64 * i),
                       before.begin() + static_cast<long>(64 * i + 64));
        const double largest = *std::max_element(seen[i].begin(), seen[i].end());
        ASSERT_EQ(peak[i], static_cast<float>(largest));
        ASSERT_NEAR(shrink[i], std::exp(scale * (old[i] - largest)), 1e-6);
        double want = 0;
        for (const double score : seen[i]) want += std::exp(scale * (score - largest));
        ASSERT_NEAR(sum[i] / want, 1, 1e-5) << m << " rows, tile " << tile;
        for (size_t j = 0; j < 64; ++j) {
          const double t = scale * (before[64 * i + j] - largest);
          ASSERT_NEAR(scores[64 * i + j], std::exp(t),
                      std::exp(t) * (4e-7 + 2e-7 * std::abs(t)) + 1e-37)
              << t;
        }
      }
    }
    std::vector<float> scores(rows * 64, 1.0f);
    scores[3] = std::nanf("");
    kernel().running_softmax(scores.data(), peak.data(), sum.data(), shrink.data(), scale, m);
    EXPECT_TRUE(std::isnan(scores[3]));
    EXPECT_TRUE(std::isnan(sum[0]));
    EXPECT_FALSE(std::isnan(scores[4]));
  }
}

TEST_P(KvKernels, SoftmaxOfColumns) {
  Rng rng(6);
  for (const int64_t m : {1, 2, 3, 4, 61, 128}) {
    const auto rows = static_cast<size_t>(m);
    std::vector<float> peak(64, -std::numeric_limits<float>::infinity()), sum(64), shrink(64);
    std::vector<float> weight(64), want_peak = peak, want_sum = sum, want_shrink = sum;
    std::vector<float> want_weight = sum, column_scale = normals(rng, 64);
    for (float& scale : column_scale) scale = 0.01f * std::abs(scale);
    column_scale[5] = 0;
    for (int tile = 0; tile < 3; ++tile) {
      std::vector<int32_t> acc(rows * 64);
      for (int32_t& value : acc) value = static_cast<int32_t>(rng.below(200000)) - 100000;
      std::vector<int32_t> same = acc;
      std::vector<float> scale = normals(rng, rows), offset = normals(rng, rows);
      for (float& value : scale) value *= 0.01f;
      const size_t bytes_of_codes = (rows + 3) / 4 * 256;
      std::vector<uint8_t> codes(bytes_of_codes + 1, 77), want(bytes_of_codes + 1, 77);
      kernel().softmax_columns(acc.data(), m, scale.data(), offset.data(), column_scale.data(),
                               codes.data(), peak.data(), sum.data(), shrink.data(), weight.data());
      spec().softmax_columns(same.data(), m, scale.data(), offset.data(), column_scale.data(),
                             want.data(), want_peak.data(), want_sum.data(), want_shrink.data(),
                             want_weight.data());
      EXPECT_EQ(codes.back(), 77);
      for (size_t i = 0; i < codes.size(); ++i)
        ASSERT_LE(std::abs(int{codes[i]} - int{want[i]}), 1) << m << " rows, byte " << i;
      for (size_t j = 0; j < 64; ++j) {
        ASSERT_NEAR(peak[j], want_peak[j], 1e-5 * std::abs(want_peak[j]) + 1e-6);
        ASSERT_NEAR(shrink[j], want_shrink[j], 1e-4);
        ASSERT_NEAR(weight[j], want_weight[j], 1e-4);
        ASSERT_NEAR(sum[j], want_sum[j], 0.01 * want_sum[j]);
      }
    }
  }
}

TEST_P(KvKernels, ColumnsAreScaledAndAdded) {
  Rng rng(7);
  for (const int64_t m : {1, 7, 72}) {
    const auto size = static_cast<size_t>(m) * 64;
    std::vector<int32_t> acc(size);
    for (int32_t& value : acc) value = static_cast<int32_t>(rng.below(20000)) - 10000;
    const std::vector<float> scale = normals(rng, static_cast<size_t>(m)),
                             before = normals(rng, size);
    const std::vector<float> shrink = normals(rng, 64), weight = normals(rng, 64);
    std::vector<float> out = before;
    kernel().add_columns(acc.data(), m, scale.data(), shrink.data(), weight.data(), out.data());
    for (size_t i = 0; i < size; ++i) {
      const size_t j = i % 64;
      const double kept = double{shrink[j]} * before[i];
      const double added = double{weight[j]} * scale[i / 64] * acc[i];
      ASSERT_NEAR(out[i], kept + added, 1e-6 * (std::abs(kept) + std::abs(added)));
    }
  }
}

std::vector<Isa> available() {
  std::vector<Isa> result;
  for (const Isa isa : kAllIsas)
    if (has_isa(isa)) result.push_back(isa);
  return result;
}

INSTANTIATE_TEST_SUITE_P(Isa, KvKernels, testing::ValuesIn(available()),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

}  // namespace
}  // namespace stamp
