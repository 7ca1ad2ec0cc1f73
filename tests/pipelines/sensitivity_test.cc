#include "stamp/pipelines/sensitivity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tests/pipelines/tiny_model.h"

namespace stamp {
namespace {

SensitivityOptions options_of(const TinyModel& model, const std::string& recipe) {
  return {.model = model.path(),
          .text = model.path() / "heldout.txt",
          .recipe = load_recipe(recipe),
          .context = 128,
          .max_windows = 2};
}

TEST(Isolate, CoversEveryQuantizedTensorOnce) {
  const TinyModel model("isolate");
  const auto source = ModelSource::open(model.path());
  const auto names = [&](const Recipe& recipe) {
    std::set<std::string> result;
    for (const IsolatedRecipe& part : isolate(recipe, source->config())) {
      EXPECT_TRUE(result.insert(part.recipe.name).second);
      EXPECT_NO_THROW(check(part.recipe));
      EXPECT_NO_THROW(check_layers(part.recipe, 2));
    }
    return result;
  };
  const auto all = names(load_recipe("w4a4kv4-stamp"));
  EXPECT_EQ(all.size(), 2u * (4 + 4 + 2));
  EXPECT_TRUE(all.contains("layers.1.down_in weights"));
  EXPECT_EQ(names(load_recipe("kv2")),
            (std::set<std::string>{"layers.0.k", "layers.0.v", "layers.1.k", "layers.1.v"}));
  EXPECT_TRUE(names(Recipe{}).empty());
  Recipe partly = load_recipe("w4a8kv8");
  partly.exclude = {"layers.0.mlp"};
  EXPECT_EQ(names(partly).size(), 20u - 4);
}

/// Each isolated model spends its bits on one tensor only.
TEST(Isolate, LeavesTheRestAtSixteenBits) {
  const TinyModel model("isolated");
  const auto source = ModelSource::open(model.path());
  for (const IsolatedRecipe& part : isolate(load_recipe("w4a4kv4"), source->config())) {
    const auto isolated = make_model(source, {.recipe = part.recipe});
    const bool kv = part.kind == "k" || part.kind == "v";
    EXPECT_EQ(isolated->kv_bits(128).average() < 16, kv) << part.recipe.name;
    if (kv) {
      EXPECT_GT(isolated->kv_bits(128).average(), 12) << part.recipe.name;
    }
  }
}

TEST(Sensitivity, PartsAddUpToAboutTheWhole) {
  const TinyModel model("sensitivity");
  const Sensitivity found = measure_sensitivity(options_of(model, "w4a4kv4-stamp-wf"));
  EXPECT_EQ(found.rows.size(), 20u);
  EXPECT_EQ(found.windows, 2);
  EXPECT_FALSE(found.partial);
  for (const SensitivityRow& row : found.rows) {
    EXPECT_GT(row.kl, 0) << row.layer << row.kind;
    EXPECT_LE(row.kl_low, row.kl);
    EXPECT_GE(row.kl_high, row.kl);
    EXPECT_GE(row.bits, 4) << row.kind;
    EXPECT_LE(row.bits, 8) << row.kind;
    EXPECT_LT(row.kl, found.kl_everything) << row.layer << row.kind;
  }
  EXPECT_GT(found.kl_sum, 0.3 * found.kl_everything);
  EXPECT_LT(found.kl_sum, 3 * found.kl_everything);
}

TEST(Sensitivity, PrintsEveryLayerAndKind) {
  const TinyModel model("sensitivity_print");
  const Sensitivity found = measure_sensitivity(options_of(model, "kv2"));
  const std::string text = to_text(found), html = to_html(found);
  for (const char* part : {"layer", "K", "V", "sum"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
  EXPECT_EQ(text.find("down input"), std::string::npos);
  EXPECT_NE(html.find("layer 1"), std::string::npos);
  for (const char* outside : {"src=", "href=", "@import"})  // self-contained
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  EXPECT_EQ(to_json(found)["tensors"].size(), 4u);
}

TEST(Sensitivity, NothingToMeasureIsAnError) {
  const TinyModel model("sensitivity_none");
  EXPECT_THROW(measure_sensitivity(options_of(model, "bf16")), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
