#include "stamp/nn/kv_block.h"

#include <gtest/gtest.h>

#include <cstring>

#include "kv_fixtures.h"

namespace stamp {
namespace {

KvBlock pack(const TokenQuantizer& k, const TokenQuantizer& v, const Matrix& rows, int64_t head_dim,
             int64_t first) {
  auto layout = std::make_shared<const KvHeadLayout>(make_kv_layout(k, v, head_dim, first));
  KvArena arena;
  const KvBlock block = new_kv_block(layout, rows.cols() / head_dim, arena);
  fill_kv_block(k, v, rows.view(), rows.view(), first, block);
  return block;
}

/// Packs the same rows as K and as V and compares with the simulation, bit for bit.
void expect_simulation(const TokenQuantizer& quantizer, int64_t head_dim, int64_t first,
                       const std::string& what) {
  ASSERT_TRUE(kv_packable(quantizer, head_dim)) << what;
  Rng rng(static_cast<uint64_t>(head_dim));
  const Matrix rows = smooth_matrix(rng, 64, 3 * head_dim);
  Matrix want = rows;
  quantizer.apply(want.view(), first, head_dim);
  const KvBlock block = pack(quantizer, quantizer, rows, head_dim, first);
  for (const Isa isa : kAllIsas)
    for (const bool values : {false, true}) {
      if (!has_isa(isa)) continue;
      const Matrix got = decode(block, values, isa);
      ASSERT_EQ(std::memcmp(got.data(), want.data(), static_cast<size_t>(got.size()) * 4), 0)
          << what << ", head_dim " << head_dim << (values ? ", V, " : ", K, ") << isa_name(isa);
    }
}

TEST(KvArena, PiecesHoldTheirBlocksApart) {
  auto arena = std::make_unique<KvArena>();
  const int64_t sizes[] = {1, 64, 37000, int64_t{3} << 20, int64_t{6} << 20, int64_t{20} << 20, 5};
  std::vector<std::shared_ptr<uint8_t>> taken;
  for (const int64_t size : sizes) {
    taken.push_back(arena->take(size));
    ASSERT_EQ(reinterpret_cast<uintptr_t>(taken.back().get()) % 64, 0u) << size;
    std::memset(taken.back().get(), static_cast<int>(taken.size()), static_cast<size_t>(size));
  }
  arena.reset();
  taken[2].reset();
  for (size_t i = 0; i < taken.size(); ++i)
    for (int64_t at = 0; taken[i] && at < sizes[i]; ++at)
      ASSERT_EQ(taken[i].get()[at], i + 1) << "byte " << at << " of " << sizes[i];
}

const int64_t kHeadDims[] = {4, 24, 64, 80, 128};

TEST(KvBlock, DecodesToTheSimulationAtEveryWidth) {
  for (int bits = 2; bits <= 8; ++bits)
    for (const char* transform : {"identity", "haar"})
      for (const char* plan : {"uniform", "fraction"})
        for (const int64_t head_dim : kHeadDims)
          for (const int64_t first : {0, 64})
            expect_simulation(TokenQuantizer(kv_spec(bits, transform, plan, 1)), head_dim, first,
                              fmt::format("{} bits, {}, {}", bits, transform, plan));
}

TEST(KvBlock, DecodesMixedWidths) {
  for (const char* transform : {"identity", "haar"})
    for (const int min_bits : {0, 2})
      for (const double average : {2.2, 3.1, 4.125, 6.0})
        for (const int64_t head_dim : kHeadDims)
          expect_simulation(waterfill_quantizer(transform, average, min_bits), head_dim, 0,
                            fmt::format("{}, waterfill {} from {}", transform, average, min_bits));
}

TEST(KvBlock, DecodesEveryLevelSinkSymmetryAndGroup) {
  for (int levels = 1; levels <= 7; ++levels)
    for (const int sinks : {0, 1, 3, 16}) {
      TokenSpec spec = kv_spec(3, "haar", "fraction", sinks);
      spec.sequence.levels = levels;
      spec.quantizer.symmetric = levels % 2 == 0;
      spec.quantizer.block = levels % 3 == 0 ? 0 : 8 * levels;
      for (const int64_t first : {0, 64})
        expect_simulation(TokenQuantizer(spec), 80, first,
                          fmt::format("{} levels, {} sinks", levels, sinks));
    }
}

TEST(KvBlock, TakesExactlyTheCountedBits) {
  for (int bits = 2; bits <= 8; ++bits)
    for (const char* plan : {"uniform", "fraction"})
      for (const int64_t head_dim : {64, 128})
        for (const int64_t first : {0, 64}) {
          const TokenQuantizer quantizer(kv_spec(bits, "haar", plan, 1));
          Rng rng(1);
          const Matrix rows = smooth_matrix(rng, 64, 2 * head_dim);
          const KvBlock block = pack(quantizer, quantizer, rows, head_dim, first);
          const BitCount want = quantizer.count_bits(64, 2 * head_dim, first, head_dim);
          const BitCount head = block.layout->count_bits();
          // A row of eight bits that shares tiles with rows of an odd width stores its bit there
          // once more.
          const double slack = head_dim * (bits % 2 == 1 && std::string(plan) == "fraction");
          EXPECT_EQ(static_cast<double>(8 * block.bytes()), 2 * (head.data_bits + head.scale_bits));
          EXPECT_NEAR(2 * head.data_bits, 2 * want.data_bits, 4 * slack)
              << bits << " bits, " << plan << ", head_dim " << head_dim;
          EXPECT_EQ(2 * head.scale_bits, 2 * want.scale_bits);
        }
}

TEST(KvBlock, FourBitsAndTwoRowsOfEightTake4125) {
  const TokenQuantizer quantizer(kv_spec(4, "haar", "fraction", 1));
  const BitCount bits = make_kv_layout(quantizer, quantizer, 64, 64).count_bits();
  EXPECT_EQ(bits.average(), 4.125);
  EXPECT_EQ(bits.average_with_scales(), 4.5);
}

TEST(KvBlock, PresetsTakeHalfABitBeyondTheirWidth) {
  for (const auto& [name, width] :
       {std::pair("kv4", 4), std::pair("kv3", 3), std::pair("kv2", 2), std::pair("w4a4kv4", 4),
        std::pair("w4a4kv4-stamp", 4), std::pair("w4a8kv4-stamp", 4)}) {
    const Recipe recipe = load_recipe(name);
    const KvHeadLayout layout = make_kv_layout(recipe.k, recipe.v, 64, 64);
    EXPECT_EQ(layout.count_bits().average(), width + 0.125) << name;
    EXPECT_EQ(layout.count_bits().average_with_scales(), width + 0.5) << name;
  }
}

TEST(KvLayout, SaysWhatItDoesNotCover) {
  EXPECT_FALSE(kv_packable(TokenQuantizer(kv_spec(4, "dct")), 64));
  EXPECT_FALSE(kv_packable(TokenQuantizer(kv_spec(4, "wht")), 64));
  EXPECT_FALSE(kv_packable(TokenQuantizer(kv_spec(4, "haar")), 66));
  TokenSpec spec = kv_spec(4, "haar");
  spec.quantizer.block = 6;
  EXPECT_FALSE(kv_packable(TokenQuantizer(spec), 64));
  spec.quantizer.block = 0;
  spec.sequence.block_tokens = 32;
  EXPECT_FALSE(kv_packable(TokenQuantizer(spec), 64));
}

}  // namespace
}  // namespace stamp
