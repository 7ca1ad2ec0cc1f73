#include "stamp/nn/kv_cache.h"

#include <gtest/gtest.h>

#include "kv_fixtures.h"
#include "stamp/nn/attention.h"

namespace stamp {
namespace {

TEST(KvCache, CountsTokensAndClears) {
  KvCache cache(2, 32, 10);
  EXPECT_EQ(cache.capacity(), 10);
  EXPECT_EQ(cache.layer(1).capacity, 10);
  EXPECT_EQ(cache.layer(0).kv_dim, 32);
  cache.advance(7);
  EXPECT_EQ(cache.tokens(), 7);
  cache.clear();
  EXPECT_EQ(cache.tokens(), 0);
}

TEST(KvCache, RejectsEmptySizes) {
  EXPECT_THROW(KvCache(0, 32, 10), std::invalid_argument);
  EXPECT_THROW(KvCache(2, 32, 0), std::invalid_argument);
  EXPECT_THROW(KvCache(2, 32, -5), std::invalid_argument);
}

TEST(KvBits, PlainIsSixteen) {
  const KvQuantizer quantizer = make_kv_quantizer(Recipe{}, 0, nullptr);
  EXPECT_FALSE(quantizer.active());
  const BitCount bits = count_kv_bits(quantizer, 100, 32, 16);
  EXPECT_EQ(bits.elements, 2 * 100 * 32);
  EXPECT_EQ(bits.average_with_scales(), 16.0);
}

TEST(KvBits, OpenBlockCountsSixteen) {
  Recipe recipe;
  recipe.k.bits = recipe.v.bits = 4;
  recipe.kv_block = 64;
  const KvQuantizer quantizer = make_kv_quantizer(recipe, 0, nullptr);
  EXPECT_TRUE(quantizer.active());
  EXPECT_DOUBLE_EQ(count_kv_bits(quantizer, 128, 32, 16).average(), 4.0);
  // A scale of 16 and a zero point of 8 bits for every 16 values.
  EXPECT_DOUBLE_EQ(count_kv_bits(quantizer, 128, 32, 16).average_with_scales(), 5.5);
  EXPECT_DOUBLE_EQ(count_kv_bits(quantizer, 96, 32, 16).average(), (64 * 4.0 + 32 * 16.0) / 96);
  recipe.kv_block = 0;
  EXPECT_DOUBLE_EQ(count_kv_bits(make_kv_quantizer(recipe, 0, nullptr), 96, 32, 16).average(), 4.0);
}

TEST(KvStorage, IsNamed) {
  Recipe recipe;
  const auto name = [&] {
    return kv_storage_name(kv_storage(make_kv_quantizer(recipe, 0, nullptr), 64));
  };
  EXPECT_EQ(name(), "plain");
  recipe.k.bits = 4;
  EXPECT_EQ(name(), "packed");
  recipe.v.bits = 3;
  recipe.v.sequence.transform = "dct";
  EXPECT_EQ(name(), "simulated");
  recipe.v.sequence.transform = "haar";
  recipe.kv_block = 0;
  EXPECT_EQ(name(), "simulated");
}

const AttentionShape kShape{4, 2, 16};

/// A cache of two layers and what to fill it with.
struct Filled {
  KvQuantizer quantizer;
  Matrix q, k, v;
  KvCache cache{2, 32, 400};

  explicit Filled(const TokenSpec& k_spec, const TokenSpec& v_spec)
      : quantizer{TokenQuantizer(k_spec), TokenQuantizer(v_spec), 64} {
    Rng rng(5);
    q = random_matrix(rng, 400, 64);
    k = smooth_matrix(rng, 400, 32);
    v = smooth_matrix(rng, 400, 32);
  }
  /// Appends the tokens up to `end` in steps; returns what the last layer's attention gives.
  Matrix fill(KvCache& target, int64_t end, int64_t step) const {
    const int64_t first = target.tokens();
    Matrix out(end - first, 64);
    for (int64_t position = first; position < end; position += step) {
      const int64_t count = std::min(step, end - position);
      for (int64_t layer = 0; layer < 2; ++layer)
        attention(q.view().rows_from(position, count), k.view().rows_from(position, count),
                  v.view().rows_from(position, count), position, kShape, quantizer,
                  target.layer(layer), out.view().rows_from(position - first, count));
      target.advance(count);
    }
    return out;
  }
};

TEST(KvCache, ForksShareClosedBlocks) {
  const TokenSpec spec = kv_spec(4, "haar", "fraction", 1);
  for (const TokenSpec& v_spec : {spec, TokenSpec{}}) {
    Filled filled(spec, v_spec);
    filled.fill(filled.cache, 200, 37);
    EXPECT_EQ(filled.cache.forkable(1000), 200);
    EXPECT_EQ(filled.cache.forkable(195), 195);
    EXPECT_EQ(filled.cache.forkable(191), 128);
    EXPECT_EQ(filled.cache.forkable(63), 0);
    EXPECT_THROW(filled.cache.fork(191), std::invalid_argument);
    EXPECT_THROW(filled.cache.fork(201), std::invalid_argument);
    for (const int64_t prefix : {0, 128, 195, 200}) {
      KvCache fork = filled.cache.fork(prefix);
      EXPECT_EQ(fork.tokens(), prefix);
      ASSERT_EQ(fork.layer(1).blocks.size(), static_cast<size_t>(prefix / 64));
      for (size_t i = 0; i < fork.layer(1).blocks.size(); ++i)
        EXPECT_EQ(fork.layer(1).blocks[i], filled.cache.layer(1).blocks[i]);
      Filled fresh(spec, v_spec);
      fresh.fill(fresh.cache, prefix, 37);
      const Matrix want = fresh.fill(fresh.cache, 300, 50), got = filled.fill(fork, 300, 50);
      EXPECT_EQ(relative_error(got.view(), want.view()), 0.0) << prefix;
    }
    // The forks left the first cache alone.
    Filled fresh(spec, v_spec);
    fresh.fill(fresh.cache, 200, 37);
    EXPECT_EQ(relative_error(filled.fill(filled.cache, 300, 50).view(),
                             fresh.fill(fresh.cache, 300, 50).view()),
              0.0);
  }
}

TEST(KvCache, PlainCachesForkAnywhere) {
  Filled filled(TokenSpec{}, TokenSpec{});
  const Matrix whole = filled.fill(filled.cache, 300, 300);
  KvCache fork = filled.cache.fork(77);
  const Matrix got = filled.fill(fork, 300, 300);
  EXPECT_LT(relative_error(got.view(), whole.view().rows_from(77, 223)), 1e-5);
}

TEST(KvCache, PagesOfOneCacheContinueInAnother) {
  const TokenSpec spec = kv_spec(4, "haar", "fraction", 1), plain;
  for (const auto& [k_spec, v_spec] : {std::pair(spec, spec), {spec, plain}, {plain, plain}}) {
    Filled filled(k_spec, v_spec);
    filled.fill(filled.cache, 200, 37);
    ASSERT_EQ(filled.cache.pages(), 3);
    EXPECT_THROW(filled.cache.page(3), std::invalid_argument);
    KvCache copy(2, 32, 320);
    EXPECT_THROW(copy.append(*filled.cache.page(1)), std::invalid_argument);
    for (int64_t i = 0; i < 3; ++i) copy.append(*filled.cache.page(i));
    EXPECT_EQ(copy.tokens(), 192);
    EXPECT_EQ(copy.pages(), 3);
    Filled fresh(k_spec, v_spec);
    fresh.fill(fresh.cache, 192, 37);
    const Matrix want = fresh.fill(fresh.cache, 300, 50), got = filled.fill(copy, 300, 50);
    EXPECT_EQ(relative_error(got.view(), want.view()), 0.0);
    KvCache small(2, 32, 100), other(3, 32, 320), wide(2, 64, 320);
    small.append(*filled.cache.page(0));
    EXPECT_THROW(small.append(*filled.cache.page(1)), std::invalid_argument);
    EXPECT_THROW(other.append(*filled.cache.page(0)), std::invalid_argument);
    if (v_spec.bits == 16) {  // has rows
      EXPECT_THROW(wide.append(*filled.cache.page(0)), std::invalid_argument);
    }
  }
}

TEST(KvArena, GivesBlocksBackForOthersOfTheirSize) {
  KvArena arena;
  auto first = arena.take(1000), second = arena.take(1000);
  EXPECT_EQ(arena.bytes_in_use(), 2048);
  uint8_t* const place = first.get();
  first.reset();
  EXPECT_EQ(arena.bytes_in_use(), 1024);
  EXPECT_NE(arena.take(3000).get(), place);
  first = arena.take(1000);
  EXPECT_EQ(first.get(), place);
  EXPECT_NE(second.get(), place);
}

TEST(KvArena, BlocksOutliveIt) {
  auto arena = std::make_unique<KvArena>();
  const auto block = arena->take(64);
  arena.reset();
  std::fill_n(block.get(), 64, uint8_t{7});
  EXPECT_EQ(block.get()[63], 7);
}

TEST(KvCache, MemoryIsWhatIsCounted) {
  Filled filled(kv_spec(4, "haar", "fraction", 1), kv_spec(3, "haar", "uniform", 1));
  EXPECT_EQ(filled.cache.bytes(), 0);
  filled.fill(filled.cache, 192, 50);
  const BitCount bits = count_kv_bits(filled.quantizer, 192, 32, 16);
  EXPECT_EQ(bits.elements, 2 * 192 * 32);
  EXPECT_EQ(static_cast<double>(filled.cache.bytes()), 2 * (bits.data_bits + bits.scale_bits) / 8);
  filled.fill(filled.cache, 193, 1);
  EXPECT_EQ(static_cast<double>(filled.cache.bytes()),
            2 * ((bits.data_bits + bits.scale_bits) / 8 + 2 * 32 * 4));
  filled.cache.clear();
  EXPECT_EQ(filled.cache.bytes(), 0);
  filled.fill(filled.cache, 70, 70);
  EXPECT_EQ(filled.cache.layer(0).blocks.size(), 1u);
}

TEST(KvQuantizer, WaterfillNeedsItsSite) {
  Recipe recipe;
  recipe.k.bits = 4;
  recipe.k.plan.kind = "waterfill";
  EXPECT_THROW(make_kv_quantizer(recipe, 3, nullptr), std::runtime_error);
  Calibration calibration;
  calibration["layers.2.k"].range2.assign(64, 1.0f);
  EXPECT_THROW(make_kv_quantizer(recipe, 3, &calibration), std::runtime_error);
  EXPECT_TRUE(make_kv_quantizer(recipe, 2, &calibration).k.active());
}

}  // namespace
}  // namespace stamp
