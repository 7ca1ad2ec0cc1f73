#include "stamp/nn/linear.h"

#include <gtest/gtest.h>

#include <map>

#include "random_matrix.h"
#include "stamp/nn/matmul.h"
#include "stamp/quant/weight_quant.h"
#include "tests/core/thread_processes.h"

namespace stamp {
namespace {

constexpr int64_t kIn = 48;

/// A group of two weights, the first with a bias, and an input that drifts around an offset.
class LinearTest : public testing::Test {
 protected:
  Rng rng{1};
  Matrix wa = random_matrix(rng, 40, kIn), wb = random_matrix(rng, 24, kIn);
  Matrix bias = random_matrix(rng, 1, 40);
  Matrix x = smooth_matrix(rng, 96, kIn);

  std::vector<LinearWeight> weights() const {
    return {{"layers.0.a_proj", view_of(wa), TensorView{DType::kF32, {40}, bias.data()}},
            {"layers.0.b_proj", view_of(wb), std::nullopt}};
  }
  std::vector<Matrix> run(const Linear& linear, Observer* observer = nullptr) const {
    std::vector<Matrix> outputs(linear.parts());
    std::vector<Matrix*> pointers;
    for (Matrix& output : outputs) pointers.push_back(&output);
    ForwardContext context{.observer = observer};
    linear.forward(x.view(), 0, pointers, context);
    return outputs;
  }
  std::vector<Matrix> run(const Recipe& recipe, const Calibration* calibration = nullptr) const {
    return run(Linear("site", weights(), recipe, calibration));
  }
  Calibration calibration() const {
    Calibration result;
    result["site"].center = true;
    for (int64_t j = 0; j < kIn; ++j)
      result["site"].mean.push_back(0.1f * static_cast<float>(j % 7 - 2));
    return result;
  }
};

Recipe stamp_recipe() {
  Recipe recipe;
  recipe.feature = "hadamard";
  recipe.weights.bits = 4;
  recipe.activations.bits = 4;
  recipe.activations.sequence.transform = "haar";
  recipe.activations.sequence.skip_tokens = 1;
  recipe.activations.plan = {.kind = "two_level", .high_tokens = 16};
  return recipe;
}

bool same_bits(const Matrix& a, const Matrix& b) {
  return a.size() == b.size() && std::equal(a.data(), a.data() + a.size(), b.data());
}

TEST_F(LinearTest, PlainIsTheMatmul) {
  const auto outputs = run(Recipe{});
  Matrix want(96, 40);
  matmul_transposed(x.view(), view_of(wa), {bias.data(), 40}, want.view(), false);
  EXPECT_TRUE(same_bits(outputs[0], want));
  EXPECT_EQ(outputs[1].cols(), 24);
}

TEST_F(LinearTest, SixteenBitsSkipEveryTransform) {
  Recipe recipe = stamp_recipe();
  recipe.weights.bits = recipe.activations.bits = 16;
  recipe.center = "static";
  const auto got = run(recipe), want = run(Recipe{});
  EXPECT_TRUE(same_bits(got[0], want[0]));
  EXPECT_TRUE(same_bits(got[1], want[1]));
}

TEST_F(LinearTest, RotationAndSequenceTransformAloneChangeNothing) {
  Matrix rotated = x, weight = wa;
  const HadamardPlan plan = plan_hadamard(kIn);
  apply_hadamard(rotated.view(), plan);
  apply_hadamard(weight.view(), plan);
  TokenQuantizer(stamp_recipe().activations).transform_only(rotated.view());
  Matrix got(96, 40);
  matmul_transposed(rotated.view(), view_of(weight), {bias.data(), 40}, got.view(), false);
  EXPECT_LT(relative_error(got.view(), run(Recipe{})[0].view()), 1e-5);
}

TEST_F(LinearTest, IsTheCompositionOfItsSteps) {
  Recipe recipe = stamp_recipe();
  recipe.center = "static";
  const Calibration statistics = calibration();
  const std::vector<float>& mean = statistics.at("site").mean;
  const HadamardPlan plan = plan_hadamard(kIn);
  Matrix input = x, weight = wa;
  apply_hadamard(input.view(), plan);
  apply_hadamard(weight.view(), plan);
  Matrix want(96, 40);
  for (int64_t i = 0; i < 96; ++i)
    for (int64_t j = 0; j < kIn; ++j) input(i, j) -= mean[static_cast<size_t>(j)];
  std::vector<float> constant(40);
  for (int64_t o = 0; o < 40; ++o) {
    constant[static_cast<size_t>(o)] = bias(0, o);
    for (int64_t j = 0; j < kIn; ++j)
      constant[static_cast<size_t>(o)] += mean[static_cast<size_t>(j)] * weight(o, j);
  }
  TokenQuantizer(recipe.activations).apply(input.view());
  fake_quantize_weight(weight.view(), recipe.weights);
  matmul_transposed(input.view(), view_of(weight), constant, want.view(), false);
  EXPECT_LT(relative_error(run(recipe, &statistics)[0].view(), want.view()), 1e-5);
}

TEST_F(LinearTest, WeightsAloneAreQuantizedInTheRotatedBasis) {
  Recipe recipe;
  recipe.feature = "hadamard";
  recipe.weights.bits = 8;
  const Linear linear("site", weights(), recipe, nullptr);
  ASSERT_NE(linear.rotation(), nullptr);
  const double error = relative_error(run(linear)[0].view(), run(Recipe{})[0].view());
  EXPECT_GT(error, 1e-5);
  EXPECT_LT(error, 2e-2);
}

TEST_F(LinearTest, HeadsDecideTheRotation) {
  Matrix w(4, 56);  // no Hadamard matrix of order 56 = 7 * 8 beyond Paley: whatever the plan is, it
                    // is that of o_proj
  Recipe recipe = stamp_recipe();
  const Linear linear("site", {{"o", view_of(w), std::nullopt}}, recipe, nullptr, 8);
  EXPECT_EQ(linear.rotation()->description, plan_hadamard(56, 8).description);
}

TEST_F(LinearTest, ExcludingOneWeightExcludesItsGroup) {
  Recipe recipe = stamp_recipe();
  recipe.exclude = {"0.b_proj"};
  const Linear linear("site", weights(), recipe, nullptr);
  EXPECT_TRUE(linear.excluded());
  EXPECT_EQ(linear.rotation(), nullptr);
  EXPECT_TRUE(same_bits(run(linear)[0], run(Recipe{})[0]));
  EXPECT_DOUBLE_EQ(linear.count_bits(96).average(), 16.0);
  recipe.exclude = {"layers.1."};
  EXPECT_FALSE(Linear("site", weights(), recipe, nullptr).excluded());
}

TEST_F(LinearTest, CountsBits) {
  const Linear linear("site", weights(), stamp_recipe(), nullptr);
  const BitCount bits = linear.count_bits(96);
  EXPECT_EQ(bits.elements, 96 * kIn);
  // The sink is an extra row: 1 + 15 rows at 8 bits, 96 - 15 at 4.
  EXPECT_DOUBLE_EQ(bits.average(), (16 * 8.0 + 81 * 4.0) / 96);
}

struct Recorder : Observer {
  Matrix input;
  std::map<std::string, double> db;
  void on_input(const std::string& site, ConstFloatView x, int64_t) override {
    EXPECT_EQ(site, "site");
    input = Matrix::copy_of(x);
  }
  bool wants_linear_error() const override { return true; }
  void on_linear_error(const std::string& linear, const Sqnr& sqnr) override {
    db[linear] = sqnr.db();
  }
};

TEST_F(LinearTest, ObserverSeesTheInputAndTheErrorOfEveryWeight) {
  Recorder recorder;
  const auto outputs = run(Linear("site", weights(), stamp_recipe(), nullptr), &recorder);
  EXPECT_TRUE(same_bits(recorder.input, x));
  ASSERT_EQ(recorder.db.size(), 2u);
  Sqnr want;
  want.add(run(Recipe{})[0].view(), outputs[0].view());
  EXPECT_NEAR(recorder.db.at("layers.0.a_proj"), want.db(), 1e-6);
  EXPECT_GT(recorder.db.at("layers.0.b_proj"), 5.0);
  EXPECT_LT(recorder.db.at("layers.0.b_proj"), 40.0);
}

TEST_F(LinearTest, PlainLinearsReportNoError) {
  Recorder recorder;
  run(Linear("site", weights(), Recipe{}, nullptr), &recorder);
  EXPECT_TRUE(recorder.db.empty());
}

TEST_F(LinearTest, NeedsItsStatistics) {
  Recipe recipe = stamp_recipe();
  recipe.center = "static";
  EXPECT_THROW(run(recipe), std::runtime_error);
  Calibration statistics;
  EXPECT_THROW(run(recipe, &statistics), std::runtime_error);
  statistics = calibration();
  statistics["site"].mean.pop_back();
  EXPECT_THROW(run(recipe, &statistics), std::runtime_error);
  recipe.center = "none";
  recipe.activations.plan.kind = "waterfill";
  EXPECT_THROW(run(recipe), std::runtime_error);
}

TEST_F(LinearTest, RejectsWhatDoesNotFit) {
  const Matrix narrow(4, kIn - 1);
  EXPECT_THROW(Linear("site", {}, Recipe{}, nullptr), std::invalid_argument);
  auto mixed = weights();
  mixed[1].weight = view_of(narrow);
  EXPECT_THROW(Linear("site", mixed, Recipe{}, nullptr), std::invalid_argument);
  auto biased = weights();
  biased[1].bias = biased[0].bias;
  EXPECT_THROW(Linear("site", biased, Recipe{}, nullptr), std::invalid_argument);
  const Linear linear("site", weights(), Recipe{}, nullptr);
  ForwardContext context;
  Matrix a, b;
  Matrix* const one[] = {&a};
  Matrix* const two[] = {&a, &b};
  EXPECT_THROW(linear.forward(x.view(), 0, one, context), std::invalid_argument);
  EXPECT_THROW(linear.forward(narrow.view(), 0, two, context), std::invalid_argument);
}

/// A linear whose input is split over two processes, beside one that has all of it.
class SplitLinear : public LinearTest {
 protected:
  Linear make(const Recipe& recipe, const FeatureMap& map, InputPart input = {}) const {
    const GroupBasis basis{.input = map, .online = map};
    return Linear("site", {weights()[0]}, recipe, nullptr, basis, Execution::kInteger, input);
  }
  void expect_sum(const Recipe& recipe, const FeatureMap& map = {}) const {
    const Linear whole = make(recipe, map);
    ForwardContext context;
    Matrix expected(x.rows(), 40), added = Matrix::zeros(x.rows(), 40);
    whole.forward_into(x.view(), 0, expected.view(), false, context);
    ThreadProcesses::run(2, [&](Communicator& own) {
      const InputPart input{own.rank() * kIn / 2, kIn / 2, &own};
      const Linear part = make(recipe, map, input);
      ForwardContext mine;
      Matrix y(x.rows(), 40), twice = Matrix::zeros(x.rows(), 40);
      const ConstFloatView features = x.view().cols_from(input.first, input.count);
      part.forward_into(features, 0, y.view(), false, mine);
      part.forward_into(features, 0, twice.view(), true, mine);
      part.forward_into(features, 0, twice.view(), true, mine);
      EXPECT_LT(relative_error(y.view(), expected.view()), 1e-5);
      for (int64_t i = 0; i < y.size(); ++i) y.data()[i] *= 2;
      EXPECT_LT(relative_error(twice.view(), y.view()), 1e-5);
    });
  }
};

TEST_F(SplitLinear, IsTheSumOfItsParts) {
  expect_sum({});
  Recipe recipe = stamp_recipe();
  recipe.feature = "none";
  expect_sum(recipe);  // codes, whose scales span the features of both
  recipe.weights.group = 8;
  expect_sum(recipe);
  recipe.activations.bits = 16;
  expect_sum(recipe);  // fixed point
}

TEST_F(SplitLinear, RotatesWithinItsPart) {
  FeatureMap map;
  map.hadamard = plan_hadamard(kIn / 2);
  map.scale = std::vector<float>(kIn, 1.0f);
  map.scale[5] = 2;
  map.mean = std::vector<float>(kIn, 0.125f);
  expect_sum(stamp_recipe(), map);
  map.hadamard = plan_hadamard(kIn);
  ThreadProcesses::run(2, [&](Communicator& own) {
    EXPECT_THROW(make(stamp_recipe(), map, {own.rank() * kIn / 2, kIn / 2, &own}),
                 std::invalid_argument);
  });
}

TEST_F(SplitLinear, RefusesWhatRunsOnRoundedValues) {
  Recipe recipe = stamp_recipe();
  recipe.weights.bits = 16;
  ThreadProcesses::run(2, [&](Communicator& own) {
    EXPECT_THROW(make(recipe, {}, {own.rank() * kIn / 2, kIn / 2, &own}), std::invalid_argument);
  });
}

}  // namespace
}  // namespace stamp
