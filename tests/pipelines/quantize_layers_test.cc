// GPTQ through a whole model.
#include "stamp/pipelines/quantize_layers.h"

#include <gtest/gtest.h>

#include "stamp/core/rng.h"
#include "stamp/pipelines/quantize.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;
const fs::path kModels = fs::path(STAMP_SOURCE_DIR) / "tests/data/llm";

CalibrateOptions text(uint64_t seed) {
  Rng rng(seed);
  CalibrateOptions options{.context = 64};
  for (int i = 0; i < 64 * 12; ++i) options.ids.push_back(static_cast<int32_t>(rng.below(64)));
  return options;
}

Recipe gptq_recipe() {
  Recipe recipe;
  recipe.name = "gptq";
  recipe.weights = {.bits = 3, .mse_clip = true, .quantizer = "gptq"};
  return recipe;
}

Matrix hidden_states(const Model& model, uint64_t seed) {
  const auto ids = text(seed).ids;
  KvCache cache = model.make_cache(64);
  ForwardContext context;
  return model.forward(std::span(ids).first(64), cache, context);
}

double distance(const Matrix& a, const Matrix& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); ++i) sum += std::pow(double{a.data()[i]} - b.data()[i], 2);
  return sum;
}

class QuantizeLayers : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const ModelSource> source = ModelSource::open(kModels / GetParam() / "ckpt");
};

TEST_P(QuantizeLayers, GptqBeatsRoundingOnOtherText) {
  const auto plain = make_model(source);
  for (const char* feature : {"none", "hadamard", "smoothquant", "quarot", "vidit-q"}) {
    Recipe recipe = gptq_recipe();
    recipe.feature = feature;
    const Calibration calibration = calibration_for(source, recipe, [] { return text(1); });
    const WeightCodes codes = weight_codes_for(source, recipe, calibration, [] { return text(1); });
    const auto gptq =
        make_model(source, {.recipe = recipe, .calibration = &calibration, .codes = &codes});
    recipe.weights.quantizer = "rtn";
    const auto rounded = make_model(source, {.recipe = recipe, .calibration = &calibration});
    double gptq_error = 0, rounding_error = 0;
    for (uint64_t seed = 2; seed < 8; ++seed) {
      const Matrix want = hidden_states(*plain, seed);
      gptq_error += distance(hidden_states(*gptq, seed), want);
      rounding_error += distance(hidden_states(*rounded, seed), want);
    }
    EXPECT_LT(gptq_error, 0.9 * rounding_error) << feature;
  }
}

TEST_P(QuantizeLayers, ABranchHelps) {
  const auto plain = make_model(source);
  Recipe recipe = gptq_recipe();
  recipe.feature = "svdquant";
  recipe.weights.rank = 6;
  const Calibration calibration = calibration_for(source, recipe, [] { return text(1); });
  const auto error = [&](const char* quantizer, int rank) {
    recipe.weights.quantizer = quantizer;
    recipe.weights.rank = rank;
    const WeightCodes codes = weight_codes_for(source, recipe, calibration, [] { return text(1); });
    const auto model =
        make_model(source, {.recipe = recipe, .calibration = &calibration, .codes = &codes});
    double sum = 0;
    for (uint64_t seed = 2; seed < 8; ++seed)
      sum += distance(hidden_states(*model, seed), hidden_states(*plain, seed));
    return sum;
  };
  for (const char* quantizer : {"rtn", "gptq"})
    EXPECT_LT(error(quantizer, 6), 0.7 * error(quantizer, 0)) << quantizer;
}

TEST_P(QuantizeLayers, LeavesExcludedGroupsAlone) {
  Recipe recipe = gptq_recipe();
  recipe.exclude = {"layers.0.mlp.up_proj"};
  const WeightCodes codes = weight_codes_for(source, recipe, {}, [] { return text(1); });
  EXPECT_FALSE(codes.contains("layers.0.mlp.up_proj"));
  EXPECT_FALSE(codes.contains("layers.0.mlp.gate_proj"));  // they share their input
  EXPECT_TRUE(codes.contains("layers.1.mlp.gate_proj"));
  EXPECT_NO_THROW(make_model(source, {.recipe = recipe, .codes = &codes}));
}

TEST_P(QuantizeLayers, MissingCodesAreAnError) {
  EXPECT_THROW(make_model(source, {.recipe = gptq_recipe()}), std::runtime_error);
}

TEST_P(QuantizeLayers, SkippingMadeLayersChangesNothing) {
  const Recipe recipe = gptq_recipe();
  LayerQuantizer one(source, recipe, nullptr, text(1));
  const WeightCodes first = one.next(), second = one.next();
  LayerQuantizer two(source, recipe, nullptr, text(1));
  two.skip(first);
  const WeightCodes resumed = two.next();
  ASSERT_EQ(resumed.size(), second.size());
  for (const auto& [name, codes] : second) {
    const StoredWeight &a = codes.stored.view, &b = resumed.at(name).stored.view;
    EXPECT_EQ(std::memcmp(a.packed.data, b.packed.data, static_cast<size_t>(a.packed.bytes())), 0);
    EXPECT_EQ(std::memcmp(a.scale.data, b.scale.data, static_cast<size_t>(a.scale.bytes())), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, QuantizeLayers, testing::Values("llama", "qwen2"));

}  // namespace
}  // namespace stamp
