#include "stamp/pipelines/compare.h"

#include <gtest/gtest.h>

#include <set>

#include "stamp/quant/token_quantizer.h"

namespace stamp {
namespace {

TEST(Compare, ParsesBitSettings) {
  const BitSetting all = parse_bit_setting("W4A3KV2");
  EXPECT_EQ(all.weights, 4);
  EXPECT_EQ(all.activations, 3);
  EXPECT_EQ(all.kv, 2);
  EXPECT_EQ(parse_bit_setting("kv3").activations, 16);
  for (const char* wrong : {"a", "a1", "a9", "x4", "4", "a99999999999"})
    EXPECT_THROW(parse_bit_setting(wrong), std::invalid_argument) << wrong;
}

TEST(Compare, GridHoldsEveryCombinationOnce) {
  const CompareOptions options{.features = {"none", "hadamard"},
                               .sequences = {"none", "haar", "dct"},
                               .plans = {"two_level", "waterfill"},
                               .bits = {{4, 4, 4}, {16, 3, 3}}};
  const std::vector<CompareRow> rows = compare_grid(options);
  std::set<std::string> names;
  for (const CompareRow& row : rows) names.insert(row.recipe.name);
  EXPECT_EQ(names.size(), rows.size());
  EXPECT_EQ(rows.size(), 2u * 2u * (3u * 2u + 1u));  // one unprotected baseline per block
}

TEST(Compare, BaselineNeverHasFewerBits) {
  const std::vector<CompareRow> rows = compare_grid({.features = {"none"},
                                                     .sequences = {"none", "haar", "dct", "wht"},
                                                     .bits = {{16, 4, 4}, {16, 3, 3}, {16, 2, 2}}});
  double baseline = 0;
  for (const CompareRow& row : rows) {
    if (row.plan == "uniform") continue;
    const double bits = TokenQuantizer(row.recipe.activations).count_bits(1024, 384).average();
    if (row.sequence == "none") baseline = bits;
    EXPECT_LE(bits, baseline) << row.recipe.name;
    EXPECT_GT(bits, baseline - 0.01) << row.recipe.name;
  }
}

TEST(Compare, ListHoldsEveryRecipeOnce) {
  const std::vector<CompareRow> rows = compare_list({.recipes = {"kv4", "w4a4kv4"}});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].recipe.name, "w4a4kv4");
  EXPECT_THROW(compare_list({.recipes = {"kv4", "kv4"}}), std::invalid_argument);
  EXPECT_THROW(compare_list({.recipes = {"kv5"}}), std::invalid_argument);
}

TEST(Compare, UnknownNamesAreErrors) {
  EXPECT_THROW(compare_grid({.sequences = {"fourier"}}), std::invalid_argument);
  EXPECT_THROW(compare_grid({.features = {"svd"}}), std::invalid_argument);
  EXPECT_THROW(compare_grid({.plans = {"best"}}), std::invalid_argument);
}

TEST(PaperGrid, HasEveryMethodUnderEveryTransform) {
  CompareOptions options{
      .features = {"rtn", "smoothquant", "quarot", "flatquant", "vidit-q", "svdquant"},
      .sequences = {"none", "haar:3", "dct", "wht"},
      .bits = {{4, 4, 4}, {4, 3, 2}},
      .paper = true};
  const auto rows = paper_grid(options);
  ASSERT_EQ(rows.size(), 2u * 6u * 5u);
  for (const CompareRow& row : rows) {
    const Recipe& recipe = row.recipe;
    EXPECT_EQ(recipe.kv_block, 0) << recipe.name;
    const bool narrow = &row >= &rows[30];
    EXPECT_EQ(recipe.activations.bits, narrow ? 3 : 4);
    EXPECT_EQ(recipe.k.bits, narrow ? 2 : 4);
    EXPECT_EQ(recipe.weights.bits, 4);
    for (const TokenSpec& spec : {recipe.activations, TokenSpec(recipe.k), TokenSpec(recipe.v)}) {
      const bool haar = row.sequence == "haar:3";
      EXPECT_EQ(spec.sequence.transform, row.sequence == "none" ? "identity"
                                         : haar                 ? "haar"
                                                                : row.sequence);
      EXPECT_EQ(spec.sequence.levels, haar ? 3 : 0);
      if (row.plan == "uniform") continue;
      // With L the sink is one row more, without L one more token is protected.
      EXPECT_EQ(spec.plan.high_tokens + spec.sequence.skip_tokens, 65);
    }
  }
  EXPECT_EQ(rows[0].recipe.feature, "none");
  EXPECT_EQ(rows[5].recipe.feature, "smoothquant");
  options.features = {"nothing"};
  EXPECT_THROW(paper_grid(options), std::invalid_argument);
}

TEST(CompareGrid, SequencesMayNameTheirLevels) {
  CompareOptions options;
  options.features = {"hadamard"};
  options.sequences = {"haar:3"};
  const auto rows = compare_grid(options);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].recipe.activations.sequence.levels, 3);
  EXPECT_EQ(rows[0].recipe.k.sequence.levels, 3);
  EXPECT_EQ(rows[0].sequence, "haar:3");
  for (const char* bad : {"haar:", "haar:x", "haar:0", "haar:3x", "fourier"}) {
    options.sequences = {bad};
    EXPECT_THROW(compare_grid(options), std::invalid_argument) << bad;
  }
}

}  // namespace
}  // namespace stamp
