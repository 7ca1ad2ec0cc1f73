// Learned transforms in whole models.
#include "stamp/pipelines/flatquant/learn.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "stamp/core/rng.h"
#include "stamp/models/calibration_file.h"
#include "tests/io/test_files.h"

namespace stamp::flatquant {
namespace {

namespace fs = std::filesystem;
const fs::path kModels = fs::path(STAMP_SOURCE_DIR) / "tests/data/llm";

constexpr LearnOptions kQuick = {.context = 24, .windows = 6, .epochs = 4};

CalibrateOptions text(uint64_t seed) {
  Rng rng(seed);
  CalibrateOptions options{.context = 24};
  for (int i = 0; i < 24 * 6; ++i) options.ids.push_back(static_cast<int32_t>(rng.below(64)));
  return options;
}

Recipe recipe(int bits) {
  Recipe recipe;
  recipe.name = "flatquant";
  recipe.feature = "flatquant";
  recipe.weights.bits = recipe.activations.bits = recipe.k.bits = recipe.v.bits = bits;
  recipe.activations.quantizer.symmetric = true;
  recipe.kv_block = 0;
  return recipe;
}

Matrix hidden_states(const Model& model, uint64_t seed) {
  const auto ids = text(seed).ids;
  KvCache cache = model.make_cache(24);
  ForwardContext context;
  return model.forward(std::span(ids).first(24), cache, context);
}

double relative_error(const Matrix& want, const Matrix& got) {
  double error = 0, energy = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    error += std::pow(double{want.data()[i]} - got.data()[i], 2);
    energy += std::pow(double{want.data()[i]}, 2);
  }
  return error / energy;
}

class Flatquant : public testing::TestWithParam<const char*> {
 protected:
  TempDirectory dir;
  std::shared_ptr<const ModelSource> source = ModelSource::open(kModels / GetParam() / "ckpt");
};

TEST_P(Flatquant, TheFunctionStays) {
  const Calibration learned = learn(source, recipe(4), text(1), kQuick);
  Recipe unrounded = recipe(16);
  const auto model = make_model(source, {.recipe = unrounded, .calibration = &learned});
  EXPECT_LT(relative_error(hidden_states(*make_model(source), 2), hidden_states(*model, 2)), 1e-9);
}

TEST_P(Flatquant, LearningLowersTheErrorOfTheModel) {
  const auto plain = make_model(source);
  const auto error = [&](int epochs) {
    LearnOptions options = kQuick;
    options.epochs = epochs;
    const Calibration learned = learn(source, recipe(6), text(1), options);
    const auto model = make_model(source, {.recipe = recipe(6), .calibration = &learned});
    return relative_error(hidden_states(*plain, 1), hidden_states(*model, 1));
  };
  EXPECT_LT(error(20), 0.9 * error(0));
}

TEST_P(Flatquant, ContinuesWithTheBlocksThatAreFinished) {
  CalibrateOptions options = text(1);
  const Calibration want = learn(source, recipe(4), options, kQuick);
  options.cache = dir.path() / "a new" / "folder";
  learn(source, recipe(4), options, kQuick);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(options.cache)) files.push_back(entry.path());
  ASSERT_EQ(files.size(), 2u);
  std::sort(files.begin(), files.end());
  fs::remove(files[1]);
  const Calibration got = learn(source, recipe(4), options, kQuick);
  const auto file = [&](const char* name, const Calibration& calibration) {
    write_calibration(dir.path() / name, calibration);
    return read_text(dir.path() / name);
  };
  EXPECT_EQ(file("got", got), file("want", want));
  EXPECT_TRUE(fs::exists(files[1]));
  // Another width learns something else.
  learn(source, recipe(3), options, kQuick);
  EXPECT_NE(learning_key(recipe(3)), learning_key(recipe(4)));
}

TEST_P(Flatquant, MissingOrMisshapenStatisticsAreErrors) {
  EXPECT_THROW(make_model(source, {.recipe = recipe(4)}), std::runtime_error);
  Calibration learned = learn(source, recipe(4), text(1), kQuick);
  learned["layers.1.k"].right = Matrix::zeros(3, 3);
  EXPECT_THROW(make_model(source, {.recipe = recipe(4), .calibration = &learned}),
               std::runtime_error);
  learned = learn(source, recipe(4), text(1), kQuick);
  learned["layers.0.mlp_in"].weight_clip.pop_back();
  EXPECT_THROW(make_model(source, {.recipe = recipe(4), .calibration = &learned}),
               std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(Families, Flatquant, testing::Values("llama", "qwen2"));

}  // namespace
}  // namespace stamp::flatquant
