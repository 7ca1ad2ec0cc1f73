#include "stamp/quant/token_codec.h"

#include <gtest/gtest.h>

#include "stamp/quant/metrics.h"
#include "tests/quant/matrices.h"

namespace stamp {
namespace {

Matrix through(const TokenCodec& codec, const Matrix& x, TokenRows rows) {
  const std::vector<std::byte> bytes = codec.encode(x.view(), rows);
  EXPECT_EQ(static_cast<int64_t>(bytes.size()), codec.bytes(x.rows(), rows));
  Matrix y(x.rows(), x.cols());
  codec.decode(bytes, rows, y.view());
  return y;
}

/// What TokenQuantizer makes of the rotated rows, rotated back.
Matrix quantized(int bits, const Matrix& x, TokenRows rows) {
  TokenSpec spec;
  spec.bits = bits;
  spec.sequence.transform = "haar";
  spec.sequence.skip_tokens = 1;
  spec.quantizer.symmetric = false;
  spec.quantizer.block = 128;
  spec.plan = {.kind = "two_level", .high_tokens = 64, .high_bits = 8};
  const HadamardPlan plan = plan_hadamard(x.cols());
  Matrix y = x;
  apply_hadamard(y.view(), plan);
  TokenQuantizer(spec).apply(y.view(), rows);
  apply_hadamard(y.view(), inverse_of(plan));
  return y;
}

TEST(TokenCodec, SendsWhatTheQuantizerKeeps) {
  for (const int bits : {2, 3, 4, 5, 8})
    for (const int64_t tokens : {1, 2, 7, 64, 65, 200})
      for (const int64_t position : {0, 40})
        for (const int64_t cols : {8, 96, 320}) {
          const Matrix x = random_matrix(tokens, cols, static_cast<uint64_t>(tokens), 0.4);
          const TokenCodec codec(bits, cols);
          ASSERT_EQ(largest_difference(through(codec, x, position), quantized(bits, x, position)),
                    0)
              << bits << " bits, " << tokens << " tokens of " << cols << " from " << position;
        }
}

TEST(TokenCodec, SequencesDoNotMix) {
  const Matrix x = random_matrix(37, 64, 3);
  const SequenceRows parts[] = {{0, 20}, {5, 1}, {0, 1}, {9, 15}};
  const TokenCodec codec(4, 64);
  const Matrix together = through(codec, x, std::span<const SequenceRows>(parts));
  int64_t first = 0;
  for (const SequenceRows& part : parts) {
    const Matrix own = Matrix::copy_of(x.view().rows_from(first, part.count));
    const Matrix alone = through(codec, own, part.position);
    EXPECT_TRUE(std::equal(alone.data(), alone.data() + alone.size(), together.row(first)));
    first += part.count;
  }
}

TEST(TokenCodec, ThirtyTwoBitsAreExactAndSixteenAreBf16) {
  const Matrix x = random_matrix(5, 24, 8);
  EXPECT_EQ(largest_difference(through(TokenCodec(32, 24), x, 0), x), 0);
  const Matrix rounded = through(TokenCodec(16, 24), x, 0);
  for (int64_t i = 0; i < x.size(); ++i)
    EXPECT_EQ(rounded.data()[i], bf16_to_f32(f32_to_bf16(x.data()[i])));
}

TEST(TokenCodec, MoreBitsLoseLessAndTakeMore) {
  const Matrix x = random_matrix(512, 256, 5);
  double last_db = 0;
  int64_t last_bytes = 0;
  for (int bits = 2; bits <= 8; ++bits) {
    const TokenCodec codec(bits, 256);
    Sqnr sqnr;
    const Matrix y = through(codec, x, 0);
    sqnr.add(x.view(), y.view());
    EXPECT_GT(sqnr.db(), last_db + 4) << bits;
    EXPECT_GT(codec.bytes(512, 0), last_bytes) << bits;
    last_db = sqnr.db();
    last_bytes = codec.bytes(512, 0);
  }
  // 64 of 512 rows and the sink's are 8 bits wide (of those the sink's place is one), others 4;
  // three bytes for every 128 columns
  EXPECT_EQ(TokenCodec(4, 256).bytes(512, 0), 64 * 256 + 449 * 128 + 513 * 6);
}

TEST(TokenCodec, RefusesBytesOfAnotherSize) {
  const TokenCodec codec(4, 64);
  std::vector<std::byte> bytes = codec.encode(random_matrix(9, 64).view(), 0);
  Matrix x(9, 64);
  bytes.pop_back();
  EXPECT_THROW(codec.decode(bytes, 0, x.view()), std::runtime_error);
  EXPECT_THROW(codec.decode({}, 0, x.view()), std::runtime_error);
}

TEST(TokenCodec, RefusesOtherWidths) {
  for (const int bits : {-1, 0, 1, 9, 12, 64})
    EXPECT_THROW(TokenCodec(bits, 64), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
