#include "stamp/quant/token_quantizer.h"

#include <gtest/gtest.h>

#include "stamp/quant/bit_plan.h"
#include "stamp/quant/metrics.h"
#include "stamp/quant/sequence_transform.h"
#include "tests/quant/matrices.h"
#include "tests/quant/transform_params.h"

namespace stamp {
namespace {

TokenSpec spec_of(const std::string& transform, const std::string& plan, int bits = 4) {
  TokenSpec spec;
  spec.bits = bits;
  spec.sequence.transform = transform;
  spec.plan.kind = plan;
  return spec;
}

/// Rows that change slowly from token to token.
Matrix smooth(int64_t tokens, int64_t cols) {
  Matrix x = random_matrix(tokens, cols);
  for (int64_t i = 1; i < tokens; ++i) {
    for (int64_t j = 0; j < cols; ++j) x(i, j) = 0.98f * x(i - 1, j) + 0.1f * x(i, j);
  }
  return x;
}

double sqnr(const Matrix& x, const TokenQuantizer& quantizer, int64_t position = 0,
            int64_t group = 0) {
  Matrix y = x;
  quantizer.apply(y.view(), position, group);
  Sqnr result;
  result.add(x.view(), y.view());
  return result.db();
}

TEST(TokenQuantizer, SixteenBitsChangeNothing) {
  const Matrix x = random_matrix(70, 20);
  Matrix y = x;
  const TokenQuantizer quantizer(spec_of("haar", "two_level", 16));
  EXPECT_FALSE(quantizer.active());
  quantizer.apply(y.view());
  EXPECT_EQ(largest_difference(x, y), 0);
}

TEST(TokenQuantizer, WithoutQuantizationNothingIsLost) {
  for (const SequenceTransform& transform : sequence_transforms()) {
    for (const int64_t tokens : {1, 2, 3, 65, 200}) {
      TokenSpec spec = spec_of(std::string(transform.name), "fraction");
      spec.sequence.skip_tokens = 2;
      spec.sequence.block_tokens = 48;
      const Matrix x = random_matrix(tokens, 40);
      Matrix y = x;
      TokenQuantizer(spec, {}, decaying_basis(16)).transform_only(y.view());
      EXPECT_LT(largest_difference(x, y), 2e-5) << transform.name << tokens;
    }
  }
}

TEST(TokenQuantizer, EqualsTheStepsOneByOne) {
  TokenSpec spec = spec_of("haar", "two_level");
  spec.plan.high_tokens = 8;
  const Matrix x = smooth(100, 30);
  Matrix expected = x, got = x;
  const int levels = block_levels(spec, 100);
  const std::vector<uint8_t> bits = row_bits(spec, 100, 0, {});
  sequence_transform("haar").forward(expected.view(), levels);
  for (int64_t i = 0; i < 100; ++i) {
    fake_quantize_row(expected.view().row_span(i), bits[static_cast<size_t>(i)], spec.quantizer);
  }
  sequence_transform("haar").inverse(expected.view(), levels);
  TokenQuantizer(spec).apply(got.view());
  EXPECT_EQ(largest_difference(expected, got), 0);
}

TEST(TokenQuantizer, HaarHelpsOnSmoothRowsAtTheSameAverage) {
  const Matrix x = smooth(512, 48);
  const double plain = sqnr(x, TokenQuantizer(spec_of("identity", "two_level")));
  for (const char* transform : {"haar", "dct", "wht"}) {
    EXPECT_GT(sqnr(x, TokenQuantizer(spec_of(transform, "two_level"))), plain + 3) << transform;
  }
}

TEST(TokenQuantizer, SinksStayOutOfTheTransform) {
  Matrix x = smooth(256, 32);
  for (int64_t j = 0; j < 32; ++j) x(0, j) = 1000.0f * static_cast<float>(j % 3 - 1);
  TokenSpec spec = spec_of("haar", "fraction");
  Matrix spread = x, kept = x;
  TokenQuantizer(spec).apply(spread.view());
  spec.sequence.skip_tokens = 1;
  TokenQuantizer(spec).apply(kept.view());
  const auto error_beyond_sink = [&](const Matrix& y) {
    Sqnr result;
    result.add(x.view().rows_from(1, 255), y.view().rows_from(1, 255));
    return result.db();
  };
  EXPECT_GT(error_beyond_sink(kept), error_beyond_sink(spread) + 10);
  Matrix sink = Matrix::copy_of(x.view().rows_from(0, 1));
  fake_quantize_row(sink.view().row_span(0), 8, spec.quantizer);
  EXPECT_EQ(largest_difference(sink, Matrix::copy_of(kept.view().rows_from(0, 1))), 0);
}

TEST(TokenQuantizer, OnlyTheBeginningOfTheSequenceHasSinks) {
  SequenceSpec spec{.transform = "haar", .skip_tokens = 3};
  EXPECT_EQ(token_blocks(spec, 10, 0)[0].sinks, 3);
  EXPECT_EQ(token_blocks(spec, 10, 2)[0].sinks, 1);
  EXPECT_EQ(token_blocks(spec, 10, 64)[0].sinks, 0);
  EXPECT_EQ(token_blocks(spec, 2, 0)[0].sinks, 2);
  spec.transform = "identity";
  EXPECT_EQ(token_blocks(spec, 10, 0)[0].sinks, 0);
}

TEST(TokenQuantizer, BlocksAreAlignedToAbsolutePositions) {
  const SequenceSpec spec{.transform = "haar", .block_tokens = 64};
  const std::vector<TokenBlock> blocks = token_blocks(spec, 150, 40);
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(blocks[0].count, 24);
  EXPECT_EQ(blocks[1].first, 24);
  EXPECT_EQ(blocks[1].count, 64);
  EXPECT_EQ(blocks[2].count, 150 - 24 - 64);
  EXPECT_TRUE(token_blocks(spec, 0, 0).empty());
}

TEST(TokenQuantizer, BlocksAreIndependent) {
  TokenSpec spec = spec_of("dct", "fraction");
  spec.sequence.block_tokens = 32;
  const Matrix x = random_matrix(96, 16);
  Matrix whole = x, part = Matrix::copy_of(x.view().rows_from(32, 32));
  const TokenQuantizer quantizer(spec);
  quantizer.apply(whole.view());
  quantizer.apply(part.view(), 32);
  EXPECT_EQ(largest_difference(part, Matrix::copy_of(whole.view().rows_from(32, 32))), 0);
}

TEST(TokenQuantizer, ABlockOfSinksIsQuantizedInPlace) {
  TokenSpec spec = spec_of("haar", "two_level");
  spec.sequence.skip_tokens = 4;
  const Matrix x = random_matrix(3, 16);
  Matrix y = x;
  TokenQuantizer(spec).apply(y.view());
  for (int64_t i = 0; i < 3; ++i) {
    Matrix sink = Matrix::copy_of(x.view().rows_from(i, 1));
    fake_quantize_row(sink.view().row_span(0), 8, {});
    EXPECT_EQ(largest_difference(sink, Matrix::copy_of(y.view().rows_from(i, 1))), 0);
  }
  EXPECT_EQ(TokenQuantizer(spec).count_bits(3, 16).average(), 8);
}

TEST(TokenQuantizer, ALoneRowIsKeptAtHighBits) {
  const Matrix x = random_matrix(1, 64);
  EXPECT_GT(sqnr(x, TokenQuantizer(spec_of("haar", "two_level")), 100), 40);
  EXPECT_LT(sqnr(x, TokenQuantizer(spec_of("haar", "uniform")), 100), 30);
  EXPECT_EQ(TokenQuantizer(spec_of("haar", "waterfill")).count_bits(1, 64, 5).average(), 8);
}

TEST(TokenQuantizer, TwoLevelKeepsAShortPromptAtHighBits) {
  TokenSpec spec = spec_of("haar", "two_level");
  spec.sequence.skip_tokens = 1;
  const Matrix x = random_matrix(12, 16);
  EXPECT_GT(sqnr(x, TokenQuantizer(spec)), 40.0);
  EXPECT_EQ(TokenQuantizer(spec).count_bits(12, 16).average(), 8.0 * 13 / 12);  // and the sink
}

TEST(TokenQuantizer, GroupsGiveEveryHeadItsScale) {
  Matrix x = random_matrix(64, 32);
  for (int64_t i = 0; i < 64; ++i) {
    for (int64_t j = 0; j < 16; ++j) x(i, j) *= 100;
  }
  const TokenQuantizer quantizer(spec_of("haar", "fraction"));
  Matrix together = x, apart = x;
  quantizer.apply(together.view());
  quantizer.apply(apart.view(), 0, 16);
  const auto small_head = [&](const Matrix& y) {
    Sqnr result;
    result.add(x.view().cols_from(16, 16), y.view().cols_from(16, 16));
    return result.db();
  };
  EXPECT_GT(small_head(apart), small_head(together) + 20);
}

TEST(TokenQuantizer, CountsBits) {
  TokenSpec spec = spec_of("haar", "two_level");
  EXPECT_EQ(TokenQuantizer(spec).count_bits(1024, 384).average(), 4.25);
  EXPECT_NEAR(TokenQuantizer(spec).count_bits(1024, 384).average_with_scales(), 4.25 + 24.0 / 384,
              1e-12);
  spec.sequence.skip_tokens = 1;
  EXPECT_EQ(TokenQuantizer(spec).count_bits(1024, 10).data_bits, 10.0 * (8 + 63 * 8 + 961 * 4));
  EXPECT_EQ(TokenQuantizer(spec).count_bits(1024, 10, 1024).data_bits, 10.0 * (64 * 8 + 960 * 4));
  spec = spec_of("haar", "fraction");
  spec.quantizer.symmetric = true;
  EXPECT_EQ(TokenQuantizer(spec).count_bits(64, 128, 64, 64).average_with_scales(),
            4.125 + 16.0 / 64);
  EXPECT_EQ(TokenQuantizer(TokenSpec{}).count_bits(7, 3).average_with_scales(), 16);
  BitCount sum;
  EXPECT_EQ(sum.average(), 0);
  sum.add({10, 5, 5});
  sum.add({20, 0, 5});
  EXPECT_EQ(sum.average(), 3);
  EXPECT_EQ(sum.average_with_scales(), 3.5);
}

TEST(TokenQuantizer, WaterfillUsesTheCalibratedRanges) {
  const Matrix x = smooth(512, 48);
  TokenSpec spec = spec_of("haar", "waterfill", 3);
  Matrix transformed = x;
  TokenQuantizer(spec).forward_only(transformed.view());
  std::vector<float> range2;
  for (int64_t i = 0; i < 512; ++i) {
    range2.push_back(
        static_cast<float>(row_range2(transformed.view().row_span(i), spec.quantizer)));
  }
  const TokenQuantizer filled(spec, range2), two(spec_of("haar", "two_level", 3));
  EXPECT_LE(filled.count_bits(512, 48).data_bits, two.count_bits(512, 48).data_bits);
  EXPECT_GT(sqnr(x, filled), sqnr(x, two));
}

TEST(TokenQuantizer, EveryTransformHelpsOnSmoothRows) {
  const Matrix x = smooth(512, 48);
  const double plain = sqnr(x, TokenQuantizer(spec_of("identity", "two_level")));
  for (const SequenceTransform& transform : sequence_transforms()) {
    if (transform.name == "identity") continue;
    TokenSpec spec = spec_of(std::string(transform.name), "two_level");
    spec.sequence.grid_width = 16;
    EXPECT_GT(sqnr(x, TokenQuantizer(spec, {}, decaying_basis(64))), plain + 1.5) << transform.name;
  }
}

/// Tokens and channels of an image model: 5600 = 87 x 64 + 32.
TEST(TokenQuantizer, GroupsNeedNotDivide) {
  TokenSpec spec = spec_of("haar", "fraction");
  spec.quantizer.block = 64;
  const Matrix wide = smooth(16, 5600);
  EXPECT_EQ(TokenQuantizer(spec).count_bits(16, 5600).scale_bits, 16 * 88 * 24.0);
  Matrix whole = wide, rest = Matrix::copy_of(wide.view().cols_from(5568, 32));
  TokenQuantizer(spec).apply(whole.view());
  TokenQuantizer(spec).apply(rest.view());
  EXPECT_EQ(largest_difference(rest, Matrix::copy_of(whole.view().cols_from(5568, 32))), 0);

  spec.sequence.block_tokens = 64;
  const Matrix tall = smooth(5600, 8);
  for (const char* transform : {"haar", "klt", "db4", "cdf97", "dct2d"}) {
    spec.sequence.transform = transform;
    const TokenQuantizer quantizer(spec, {}, decaying_basis(64));
    Matrix all = tall, last = Matrix::copy_of(tall.view().rows_from(5568, 32));
    quantizer.apply(all.view());
    quantizer.apply(last.view(), 5568);
    EXPECT_EQ(largest_difference(last, Matrix::copy_of(all.view().rows_from(5568, 32))), 0)
        << transform;
    EXPECT_EQ(quantizer.count_bits(5600, 8).data_bits, 8.0 * (5600 * 4 + 87 * 8 + 4)) << transform;
  }
}

TEST(TokenQuantizer, SaysWhatIsMissing) {
  Matrix x = random_matrix(64, 4);
  EXPECT_THROW(TokenQuantizer(spec_of("klt", "fraction")).apply(x.view()), std::invalid_argument);
  TokenSpec spec = spec_of("haar2d", "fraction");
  spec.sequence.grid_width = 10;
  EXPECT_THROW(TokenQuantizer(spec).apply(x.view()), std::invalid_argument);
}

TEST(TokenQuantizer, RefusesBadSpecs) {
  EXPECT_THROW(TokenQuantizer(spec_of("fourier", "uniform")), std::invalid_argument);
  EXPECT_THROW(TokenQuantizer(spec_of("haar", "uniform", 1)), std::invalid_argument);
  Matrix x = random_matrix(64, 4);
  EXPECT_THROW(TokenQuantizer(spec_of("haar", "waterfill")).apply(x.view()), std::invalid_argument);
}

TEST(TokenQuantizer, SurvivesValuesThatAreNotFinite) {
  Matrix x = random_matrix(80, 8);
  x(5, 3) = std::numeric_limits<float>::quiet_NaN();
  x(60, 1) = std::numeric_limits<float>::infinity();
  for (const SequenceTransform& transform : sequence_transforms()) {
    Matrix y = x;
    TokenQuantizer(spec_of(std::string(transform.name), "fraction"), {}, decaying_basis(16))
        .apply(y.view());
    EXPECT_TRUE(std::isfinite(y(0, 7))) << transform.name;
  }
}

}  // namespace
}  // namespace stamp
