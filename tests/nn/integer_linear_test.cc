// The integer path of a linear against the definition y = X^ W^^T, and against its simulation.
#include <gtest/gtest.h>

#include "random_matrix.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/linear.h"
#include "stamp/nn/matmul.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {
namespace {

struct Setting {
  const char* name;
  int weight_bits = 4, group = 0, activation_bits = 4;
  const char* feature = "none";
  const char* transform = "identity";
  const char* plan = "uniform";
  int skip = 0;
  bool symmetric = false, center = false;
  int block_tokens = 0;
  int block = 0;  // columns with one scale
};

const Setting kSettings[] = {
    {"w4a8"},
    {"w8a8", 8, 0, 8},
    {"w4a4_hadamard", 4, 0, 4, "hadamard"},
    {"w3a3", 3, 0, 3},
    {"w4g64a4_haar", 4, 64, 4, "none", "haar", "fraction", 1},
    {"w8g32a6_haar", 8, 32, 6, "none", "haar", "fraction", 0},
    {"w4a4_stamp", 4, 0, 4, "hadamard", "haar", "fraction", 1},
    {"w4a4_stamp_symmetric", 4, 0, 4, "hadamard", "haar", "fraction", 1, true},
    {"w4a4_stamp_centered", 4, 0, 4, "hadamard", "haar", "fraction", 1, false, true},
    {"w4a4_blocks", 4, 0, 4, "none", "haar", "fraction", 1, false, false, 32},
    {"w4a2_waterfill", 4, 0, 2, "none", "haar", "waterfill", 1},
    {"w4a4_dct", 4, 0, 4, "none", "dct", "fraction", 1},
    {"w4a4_wht", 4, 0, 4, "hadamard", "wht", "fraction", 1},
    {"w4a4_columns", 4, 0, 4, "none", "haar", "fraction", 1, false, false, 0, 64},
    {"w4g64a4_columns", 4, 64, 4, "hadamard", "haar", "fraction", 1, true, false, 0, 64},
    {"w4g32a4_columns", 4, 32, 4, "none", "dct", "fraction", 0, false, true, 0, 128},
    {"w8g128a8_columns", 8, 128, 8, "none", "identity", "uniform", 0, false, false, 0, 40},
    {"w4a16", 4, 0, 16},
    {"w8g64a16_hadamard", 8, 64, 16, "hadamard"},
};

Recipe recipe_of(const Setting& s) {
  Recipe recipe;
  recipe.feature = s.feature;
  recipe.center = s.center ? "static" : "none";
  recipe.weights = {.bits = s.weight_bits, .group = s.group};
  recipe.activations.bits = s.activation_bits;
  recipe.activations.quantizer.symmetric = s.symmetric;
  recipe.activations.quantizer.block = s.block;
  recipe.activations.sequence = {
      .transform = s.transform, .skip_tokens = s.skip, .block_tokens = s.block_tokens};
  recipe.activations.plan.kind = s.plan;
  return recipe;
}

class IntegerLinear : public testing::TestWithParam<Setting> {
 protected:
  static constexpr int64_t kIn = 192;
  Rng rng{7};
  Matrix wa = random_matrix(rng, 130, kIn), wb = random_matrix(rng, 130, kIn);
  Matrix bias = random_matrix(rng, 1, 130);
  Calibration calibration = statistics();

  Calibration statistics() {
    Calibration result;
    SiteStatistics& site = result["site"];
    site.center = true;
    for (int64_t j = 0; j < kIn; ++j) site.mean.push_back(0.1f * static_cast<float>(j % 7 - 2));
    for (int i = 0; i < 96; ++i) site.range2.push_back(100.0f / static_cast<float>(1 + i));
    return result;
  }
  std::vector<LinearWeight> weights(int parts) const {
    std::vector<LinearWeight> result{
        {"a", view_of(wa), TensorView{DType::kF32, {130}, bias.data()}, std::nullopt}};
    if (parts > 1) result.push_back({"b", view_of(wb), std::nullopt, std::nullopt});
    return result;
  }
  Linear made(int parts, Execution execution) const {
    return Linear("site", weights(parts), recipe_of(GetParam()), &calibration, 0, execution);
  }
  std::vector<Matrix> run(const Linear& linear, const Matrix& x, int64_t position) const {
    std::vector<Matrix> outputs(linear.parts());
    std::vector<Matrix*> pointers;
    for (Matrix& output : outputs) pointers.push_back(&output);
    ForwardContext context;
    linear.forward(x.view(), position, pointers, context);
    return outputs;
  }
  /// Q(x R - mean) (W R)^^T + mean (W R)^T + bias, in fp32 values.
  std::vector<Matrix> definition(const Matrix& x, int64_t position) const {
    const Recipe recipe = recipe_of(GetParam());
    const HadamardPlan rotation = plan_hadamard(kIn);
    const bool rotate = recipe.feature == "hadamard";
    const bool center = recipe.center == "static";
    const std::vector<float>& mean = calibration.at("site").mean;
    Matrix input = x;
    if (rotate) apply_hadamard(input.view(), rotation);
    for (int64_t i = 0; i < x.rows() && center; ++i)
      for (int64_t j = 0; j < kIn; ++j) input(i, j) -= mean[static_cast<size_t>(j)];
    const std::vector<float> range2 = recipe.activations.plan.kind == "waterfill"
                                          ? calibration.at("site").range2
                                          : std::vector<float>{};
    TokenQuantizer(recipe.activations, range2).apply(input.view(), position);
    std::vector<Matrix> outputs;
    for (const Matrix* source : {&wa, &wb}) {
      Matrix w = *source, y(x.rows(), w.rows());
      if (rotate) apply_hadamard(w.view(), rotation);
      std::vector<float> constant(static_cast<size_t>(w.rows()), 0.0f);
      for (int64_t o = 0; o < w.rows(); ++o) {
        if (source == &wa) constant[static_cast<size_t>(o)] = bias(0, o);
        for (int64_t j = 0; j < kIn && center; ++j)
          constant[static_cast<size_t>(o)] += mean[static_cast<size_t>(j)] * w(o, j);
      }
      fake_quantize_weight(w.view(), recipe.weights);
      matmul_transposed(input.view(), view_of(w), constant, y.view(), false);
      outputs.push_back(std::move(y));
    }
    return outputs;
  }
  static constexpr std::pair<int64_t, int64_t> kChunks[] = {{96, 0},  {97, 0}, {1, 0},  {1, 50},
                                                            {33, 64}, {3, 0},  {256, 0}};
};

TEST_P(IntegerLinear, OutputsFollowTheDefinition) {
  const Linear linear = made(2, Execution::kInteger);
  ASSERT_TRUE(linear.integer());
  for (const auto& [tokens, position] : kChunks) {
    const Matrix x = smooth_matrix(rng, tokens, kIn);
    const auto got = run(linear, x, position);
    const auto want = definition(x, position);
    for (size_t i = 0; i < 2; ++i)
      EXPECT_LT(relative_error(got[i].view(), want[i].view()), 1e-5)
          << tokens << " tokens at " << position << ", output " << i;
  }
}

TEST_P(IntegerLinear, SimulationGivesTheSameBits) {
  if (GetParam().activation_bits == 16) return;  // nothing is rounded, so nothing is simulated
  const Linear linear = made(2, Execution::kInteger), fake = made(2, Execution::kSimulated);
  ASSERT_TRUE(fake.simulated());
  for (const auto& [tokens, position] : kChunks) {
    const Matrix x = smooth_matrix(rng, tokens, kIn);
    const auto got = run(linear, x, position), want = run(fake, x, position);
    for (size_t i = 0; i < 2; ++i)
      EXPECT_TRUE(std::equal(got[i].data(), got[i].data() + got[i].size(), want[i].data()));
  }
}

TEST_P(IntegerLinear, AddsAndGatesLikeItsParts) {
  const Linear one = made(1, Execution::kInteger), two = made(2, Execution::kInteger);
  ForwardContext context;
  const Matrix x = smooth_matrix(rng, 96, kIn), start = random_matrix(rng, 96, 130);
  Matrix y = run(one, x, 0)[0], added = start, gated;
  one.forward_into(x.view(), 0, added.view(), true, context);
  for (int64_t i = 0; i < y.size(); ++i) y.data()[i] += start.data()[i];
  EXPECT_LT(relative_error(added.view(), y.view()), 1e-6);
  auto parts = run(two, x, 0);
  two.forward_gated(x.view(), 0, gated, context);
  silu_multiply(parts[0].view(), parts[1].view());
  EXPECT_LT(relative_error(gated.view(), parts[0].view()), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Recipes, IntegerLinear, testing::ValuesIn(kSettings),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(IntegerLinearChoice, IsIntegerWhereCodesFit) {
  Rng rng(1);
  const Matrix w = random_matrix(rng, 8, 24);
  const auto made = [&](WeightSpec weights, int activation_bits) {
    Recipe recipe;
    recipe.weights = weights;
    recipe.activations.bits = activation_bits;
    return Linear("site", {{"w", view_of(w), std::nullopt, std::nullopt}}, recipe, nullptr);
  };
  EXPECT_TRUE(made({.bits = 4}, 8).integer());
  EXPECT_TRUE(made({.bits = 8}, 16).integer());
  EXPECT_TRUE(made({.bits = 16}, 4).simulated());
  EXPECT_TRUE(made({.bits = 4, .group = 12}, 4).simulated());
  EXPECT_TRUE(made({.bits = 4, .symmetric = false}, 4).simulated());
  EXPECT_FALSE(made({.bits = 16}, 16).simulated());
  EXPECT_FALSE(made({.bits = 16}, 16).integer());
}

}  // namespace
}  // namespace stamp
