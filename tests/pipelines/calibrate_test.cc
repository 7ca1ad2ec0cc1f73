#include "stamp/pipelines/calibrate.h"

#include <gtest/gtest.h>

namespace stamp {
namespace {

class Calibrate : public testing::Test {
 protected:
  std::shared_ptr<const ModelSource> source =
      ModelSource::open(std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm/llama/ckpt");

  static Recipe recipe(const std::string& name, int bits, const std::string& center) {
    Recipe r{.name = name};
    r.activations.bits = bits;
    r.activations.sequence = {.transform = "haar", .skip_tokens = 1};
    r.activations.plan = {.kind = "waterfill", .high_tokens = 8};
    r.k.bits = r.v.bits = bits;
    r.k.plan.kind = r.v.plan.kind = "waterfill";
    r.center = center;
    return r;
  }

  static CalibrateOptions options() {
    std::vector<int32_t> ids;
    for (int i = 0; i < 400; ++i) ids.push_back((i * 37 + i / 7) % 64);
    return {.ids = ids, .bos_id = 0, .context = 128};
  }
};

TEST_F(Calibrate, FillsEverySiteThatARecipeNeeds) {
  const auto all = calibrate(source, {recipe("a", 4, "static"), recipe("b", 3, "none")}, options());
  ASSERT_EQ(all.size(), 2u);
  for (const char* site : {"layers.0.attn_in", "layers.1.o_in", "layers.0.mlp_in",
                           "layers.1.down_in", "layers.0.k", "layers.1.v"})
    ASSERT_TRUE(all.at("a").contains(site)) << site;
  EXPECT_EQ(all.at("a").at("layers.0.attn_in").mean.size(), 32u);
  EXPECT_TRUE(all.at("a").at("layers.0.attn_in").center);
  EXPECT_TRUE(all.at("b").at("layers.0.attn_in").mean.empty());
  // The model runs with them, and the widths meet the budget of the two-level plan.
  const auto model =
      make_model(source, {.recipe = recipe("a", 4, "static"), .calibration = &all.at("a")});
  EXPECT_LE(model->activation_bits(128).average(), 4 + (8.0 - 4) * 9 / 128);
}

TEST_F(Calibrate, WidthsDoNotChangeTheStatistics) {
  const auto all = calibrate(source, {recipe("a", 4, "none"), recipe("b", 2, "none")}, options());
  EXPECT_EQ(all.at("a").at("layers.0.k").range2, all.at("b").at("layers.0.k").range2);
}

TEST_F(Calibrate, RotationsAndLayersOfTheirOwnChangeTheStatistics) {
  Recipe plain = recipe("plain", 4, "none"), rotated = recipe("rotated", 4, "none");
  rotated.v.rotation = "head";
  Recipe partly = recipe("partly", 4, "none");
  partly.layers = {{.range = "1", .k_bits = 16}};
  const auto all = calibrate(source, {plain, rotated, partly}, options());
  EXPECT_EQ(all.at("plain").at("layers.0.k").range2, all.at("rotated").at("layers.0.k").range2);
  EXPECT_NE(all.at("plain").at("layers.0.v").range2, all.at("rotated").at("layers.0.v").range2);
  EXPECT_TRUE(all.at("partly").contains("layers.0.k"));
  EXPECT_FALSE(all.at("partly").contains("layers.1.k"));
}

TEST_F(Calibrate, DoesNothingForRecipesWithoutStatistics) {
  EXPECT_TRUE(calibrate(source, {Recipe{}}, {.ids = {}}).empty());
}

TEST_F(Calibrate, ModelsWithoutTheirStatisticsAreErrors) {
  EXPECT_THROW(make_model(source, {.recipe = recipe("a", 4, "none")}), std::exception);
}

}  // namespace
}  // namespace stamp
