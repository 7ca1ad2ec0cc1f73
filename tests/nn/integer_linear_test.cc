// The integer path of a linear against its simulation: the same input, the same outputs to 1e-5.
#include <gtest/gtest.h>

#include "random_matrix.h"
#include "stamp/nn/linear.h"

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
  Linear linear(int parts, Execution execution) const {
    return Linear("site", weights(parts), recipe_of(GetParam()), &calibration, 0, execution);
  }
};

TEST_P(IntegerLinear, OutputsEqualTheSimulation) {
  const Linear integer = linear(2, Execution::kInteger), fake = linear(2, Execution::kSimulated);
  ASSERT_TRUE(integer.integer());
  ASSERT_TRUE(fake.simulated());
  ForwardContext context;
  for (const auto& [tokens, position] : std::initializer_list<std::pair<int64_t, int64_t>>{
           {96, 0}, {97, 0}, {1, 0}, {1, 50}, {33, 64}, {3, 0}, {256, 0}}) {
    const Matrix x = smooth_matrix(rng, tokens, kIn);
    Matrix got[2], want[2];
    Matrix* const got_parts[] = {&got[0], &got[1]};
    Matrix* const want_parts[] = {&want[0], &want[1]};
    integer.forward(x.view(), position, got_parts, context);
    fake.forward(x.view(), position, want_parts, context);
    for (int i = 0; i < 2; ++i)
      EXPECT_LT(relative_error(got[i].view(), want[i].view()), 1e-5)
          << tokens << " tokens at " << position << ", output " << i;
  }
}

TEST_P(IntegerLinear, AddsAndGatesLikeItsParts) {
  const Linear one = linear(1, Execution::kInteger), two = linear(2, Execution::kInteger);
  const Linear fake = linear(2, Execution::kSimulated);
  ForwardContext context;
  const Matrix x = smooth_matrix(rng, 96, kIn), start = random_matrix(rng, 96, 130);
  Matrix y, added = start, gated, want;
  Matrix* const outputs[] = {&y};
  one.forward(x.view(), 0, outputs, context);
  one.forward_into(x.view(), 0, added.view(), true, context);
  for (int64_t i = 0; i < y.size(); ++i) y.data()[i] += start.data()[i];
  EXPECT_LT(relative_error(added.view(), y.view()), 1e-6);
  two.forward_gated(x.view(), 0, gated, context);
  fake.forward_gated(x.view(), 0, want, context);
  EXPECT_LT(relative_error(gated.view(), want.view()), 1e-5);
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
