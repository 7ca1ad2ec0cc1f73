#include "stamp/quant/packed_weight.h"

#include <gtest/gtest.h>

#include "matrices.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

/// The weight code at (row, k) of a stored weight.
int code_at(const StoredWeight& w, int64_t row, int64_t k) {
  const int64_t fields = 32 / w.bits;
  const uint32_t word = w.packed.as<uint32_t>()[row * w.packed.shape[1] + k / fields];
  const uint32_t mask = (1u << w.bits) - 1;
  return static_cast<int>(word >> (k % fields * w.bits) & mask) - (1 << (w.bits - 1));
}

/// Filled in pieces of `step` rows.
PackedWeight pack(const StoredWeight& weight, int64_t step) {
  PackedWeight packed(weight);
  for (int64_t first = 0; first < weight.out_dim; first += step)
    packed.fill(first, rows_of(weight, first, std::min(step, weight.out_dim - first)));
  return packed;
}

struct Case {
  int64_t out_dim, in_dim, group;
  int bits;
};

class PackedWeightTest : public testing::TestWithParam<Case> {};

TEST_P(PackedWeightTest, ProductsOfPanelsEqualProductsOfCodes) {
  const Case c = GetParam();
  const StoredWeightBuffer stored = quantize_weight(random_matrix(c.out_dim, c.in_dim, 3).view(),
                                                    {.bits = c.bits, .group = int(c.group)});
  const PackedWeight packed = pack(stored.view, 64);
  const int64_t k = packed.padded_in_dim();
  ASSERT_EQ(packed.groups(), stored.view.groups());
  std::vector<int8_t> ones(static_cast<size_t>(k), 0), ramp(ones);
  for (int64_t i = 0; i < c.in_dim; ++i) {
    ones[static_cast<size_t>(i)] = 1;
    ramp[static_cast<size_t>(i)] = static_cast<int8_t>(i * 7 % 31 - 15);
  }
  for (int64_t p = 0; p < packed.panels(); ++p) {
    std::vector<uint8_t> bytes(static_cast<size_t>(k * 64));
    if (packed.bits() == 4)
      kernels().unpack_u4(packed.panel(p), bytes.data(), k);
    else
      std::copy_n(packed.panel(p), k * 64, bytes.data());
    int32_t acc[64];
    kernels().gemm_s8u8(ramp.data(), k, bytes.data(), acc, 64, 1, k, nullptr, 255, 0);
    for (int64_t j = 0; j < 64; ++j) {
      const int64_t row = p * 64 + j;
      int32_t product = 0, ramp_sum = 0;
      std::vector<int32_t> sums(static_cast<size_t>(packed.groups()), 0);
      for (int64_t i = 0; i < c.in_dim && row < c.out_dim; ++i) {
        const int w = code_at(stored.view, row, i);
        product += ramp[static_cast<size_t>(i)] * w;
        ramp_sum += ramp[static_cast<size_t>(i)];
        sums[static_cast<size_t>(i / packed.group())] += w;
      }
      if (row >= c.out_dim) {
        EXPECT_EQ(packed.scale(p)[j], 0.0f);
        EXPECT_EQ(acc[j], 0);
        continue;
      }
      EXPECT_EQ(acc[j] - packed.bias() * ramp_sum, product) << row;
      for (int64_t g = 0; g < packed.groups(); ++g) {
        EXPECT_EQ(packed.sum(p, g)[j], sums[static_cast<size_t>(g)]) << row << " " << g;
        float scale = 0;
        to_f32(stored.view.scale, row * packed.groups() + g, {&scale, 1});
        EXPECT_EQ(packed.scale(p, g)[j], scale);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, PackedWeightTest,
                         testing::Values(Case{64, 64, 0, 4}, Case{100, 100, 0, 4}, Case{1, 9, 0, 4},
                                         Case{130, 256, 64, 4}, Case{70, 200, 64, 4},
                                         Case{64, 384, 128, 8}, Case{65, 37, 0, 8},
                                         Case{3, 1, 0, 8}));

TEST(PackedWeight, RejectsRowsThatCutAPanel) {
  const auto stored = quantize_weight(random_matrix(130, 24).view(), {.bits = 4});
  PackedWeight packed(stored.view);
  EXPECT_THROW(packed.fill(1, rows_of(stored.view, 1, 64)), std::invalid_argument);
  EXPECT_THROW(packed.fill(0, rows_of(stored.view, 0, 63)), std::invalid_argument);
  EXPECT_THROW(packed.fill(128, rows_of(stored.view, 0, 64)), std::invalid_argument);
  EXPECT_NO_THROW(packed.fill(128, rows_of(stored.view, 128, 2)));
}

TEST(PackedWeight, RejectsGroupsThatCutAWord) {
  const auto stored = quantize_weight(random_matrix(4, 24).view(), {.bits = 4, .group = 12});
  EXPECT_THROW(PackedWeight{stored.view}, std::invalid_argument);
}

}  // namespace
}  // namespace stamp
