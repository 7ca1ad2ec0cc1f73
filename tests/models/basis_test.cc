// Feature transforms leave the model's function alone: the transformed model, nothing rounded,
// computes what the plain one does.
#include <gtest/gtest.h>

#include <cmath>

#include "stamp/core/error.h"
#include "stamp/core/rng.h"
#include "stamp/models/weights.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;
const fs::path kData = fs::path(STAMP_SOURCE_DIR) / "tests/data";

/// Transforms are in place, weights wait for codes and so stay at 16 bits.
Recipe unrounded(const std::string& feature) {
  Recipe recipe;
  recipe.name = feature;
  recipe.feature = feature;
  recipe.weights = {.bits = 4, .quantizer = "gptq"};
  recipe.smoothing.all_inputs = true;
  return recipe;
}

std::vector<int32_t> tokens(const LlmConfig& config) {
  Rng rng(5);
  std::vector<int32_t> ids;
  for (int i = 0; i < 70; ++i)
    ids.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(config.vocab_size))));
  return ids;
}

/// Hidden states and logits.
std::pair<Matrix, Matrix> run(const Model& model) {
  KvCache cache = model.make_cache(70);
  ForwardContext context;
  Matrix hidden = model.forward(tokens(model.config()), cache, context);
  Matrix logits(hidden.rows(), model.config().vocab_size);
  model.logits(hidden.view(), logits.view(), context);
  return {std::move(hidden), std::move(logits)};
}

double relative_difference(const Matrix& want, const Matrix& got) {
  double difference = 0, largest = 0;
  for (int64_t i = 0; i < want.size(); ++i) {
    difference = std::max(difference, std::abs(double{want.data()[i]} - got.data()[i]));
    largest = std::max(largest, std::abs(double{want.data()[i]}));
  }
  return difference / largest;
}

/// Factors between 0.25 and 4, some negative.
Calibration any_factors(const LlmConfig& config) {
  Rng rng(9);
  Calibration calibration;
  for (int64_t layer = 0; layer < config.layers; ++layer)
    for (const LinearGroup& group : linear_groups(config)) {
      auto& scale = calibration[fmt::format("layers.{}.{}", layer, group.input)].scale;
      for (int64_t j = 0; j < group.weights[0].in_dim; ++j)
        scale.push_back(
            static_cast<float>((rng.below(2) == 0 ? 1 : -1) * std::exp2(4 * rng.uniform() - 2)));
    }
  return calibration;
}

class Basis : public testing::TestWithParam<const char*> {
 protected:
  std::shared_ptr<const ModelSource> source = ModelSource::open(kData / GetParam() / "ckpt");
  Calibration calibration = any_factors(source->config());

  void expect_same_function(const Recipe& recipe) {
    const auto want = run(*make_model(source));
    const auto model =
        make_model(source, {.recipe = recipe, .calibration = &calibration, .codes_pending = true});
    const auto got = run(*model);
    EXPECT_LT(relative_difference(want.first, got.first), 1e-5) << recipe.feature;
    EXPECT_LT(relative_difference(want.second, got.second), 1e-5) << recipe.feature;
  }
};

TEST_P(Basis, TheFunctionStays) {
  for (const char* feature : {"hadamard", "smoothquant", "quarot", "vidit-q"})
    expect_same_function(unrounded(feature));
}

TEST_P(Basis, OnlineRotationsOfHeadsGoWithFusedOnes) {
  Recipe recipe = unrounded("quarot");
  recipe.k.bits = recipe.v.bits = 8;
  recipe.kv_block = 128;  // stays open: rows are as computed
  recipe.k.rotation = recipe.v.rotation = "head";
  recipe.seed = 3;
  expect_same_function(recipe);
}

TEST_P(Basis, QuarotHoldsWhereLinearsAreExcluded) {
  Recipe recipe = unrounded("quarot");
  recipe.exclude = {"v_proj", "layers.1.mlp"};
  expect_same_function(recipe);
  recipe.weights = {};
  recipe.exclude.clear();
  expect_same_function(recipe);
}

TEST_P(Basis, SmoothingHoldsWhereLinearsAreExcluded) {
  Recipe recipe = unrounded("smoothquant");
  recipe.exclude = {"layers.0.mlp.gate_proj", "layers.1.self_attn.q_proj"};
  expect_same_function(recipe);
}

TEST_P(Basis, QuarotRotatesTheStreamAndV) {
  struct Watcher : Observer {
    void on_hidden(const std::string& name, ConstFloatView x) override {
      if (name == "embed") embed = Matrix::copy_of(x);
    }
    Matrix embed;
  };
  const auto watch = [&](const Recipe& recipe) {
    const auto model = make_model(source, {.recipe = recipe});
    Watcher watcher;
    ForwardContext context{.observer = &watcher};
    KvCache cache = model->make_cache(70);
    model->forward(tokens(model->config()), cache, context);
    return watcher.embed;
  };
  Recipe recipe;
  const Matrix plain = watch(recipe);
  recipe.feature = "quarot";
  const Matrix rotated = watch(recipe);
  recipe.seed = 1;
  const Matrix other = watch(recipe);
  EXPECT_GT(relative_difference(plain, rotated), 0.1);
  EXPECT_GT(relative_difference(rotated, other), 0.1);
  for (int64_t i = 0; i < plain.rows(); ++i) {
    double a = 0, b = 0;
    for (int64_t j = 0; j < plain.cols(); ++j)
      a += std::pow(plain(i, j), 2), b += std::pow(rotated(i, j), 2);
    EXPECT_NEAR(a, b, 1e-5 * a);
  }
}

TEST_P(Basis, SmoothingWithoutFactorsIsAnError) {
  EXPECT_THROW(make_model(source, {.recipe = unrounded("smoothquant"), .codes_pending = true}),
               std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(Models, Basis,
                         testing::Values("llm/llama", "llm/qwen2",
                                         "oracles/llm/llama_hd24_scaled_bf16",
                                         "oracles/llm/llama_hd8_all_biases",
                                         "oracles/llm/qwen2_untied_130"));

}  // namespace
}  // namespace stamp
