#include "stamp/nn/kv_cache.h"

#include <gtest/gtest.h>

namespace stamp {
namespace {

TEST(KvCache, CountsTokensAndClears) {
  KvCache cache(2, 32, 10);
  EXPECT_EQ(cache.capacity(), 10);
  EXPECT_EQ(cache.layer(1).v.rows(), 10);
  EXPECT_EQ(cache.layer(0).k.cols(), 32);
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
