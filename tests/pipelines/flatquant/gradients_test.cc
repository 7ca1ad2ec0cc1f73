// Derivatives beside central differences, rounding off (clamping stays).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "stamp/core/rng.h"
#include "stamp/nn/layers.h"
#include "stamp/pipelines/flatquant/learn.h"
#include "stamp/quant/row_quantizer.h"

namespace stamp::flatquant {
namespace {

Matrix random_matrix(int64_t rows, int64_t cols, Rng& rng, double size = 1) {
  Matrix x(rows, cols);
  for (int64_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(size * rng.normal());
  return x;
}

double dot(const Matrix& a, const Matrix& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); ++i) sum += double{a.data()[i]} * b.data()[i];
  return sum;
}

/// Compares a few derivatives of loss() by `values` with `gradient`; larger ones count relatively.
/// Of several steps the nearest difference counts: large ones cross kinks (clipping, the largest of
/// a row), small ones drown in the rounding of fp32.
template <class Loss>
void expect_gradient(std::span<float> values, std::span<const float> gradient, Loss&& loss,
                     const std::string& what, std::initializer_list<float> steps = {2e-3f}) {
  double size = 0;
  for (const float g : gradient) size = std::max(size, std::abs(double{g}));
  const size_t stride = std::max<size_t>(1, values.size() / 12);
  for (size_t i = 0; i < values.size(); i += stride) {
    const float before = values[i];
    double want = std::numeric_limits<double>::infinity();
    for (const float step : steps) {
      values[i] = before + step;
      const double up = loss();
      values[i] = before - step;
      const double difference = (up - loss()) / (2 * double{step});
      values[i] = before;
      if (std::abs(difference - gradient[i]) < std::abs(want - gradient[i])) want = difference;
    }
    EXPECT_NEAR(gradient[i], want, 0.02 * std::abs(want) + 0.01 * size + 1e-4) << what << " " << i;
  }
}

std::span<float> all(Matrix& x) { return {x.data(), static_cast<size_t>(x.size())}; }

TEST(FlatquantOps, Maps) {
  Rng rng(1);
  Matrix x = random_matrix(5, 24, rng);
  const Matrix weights = random_matrix(5, 24, rng);
  FeatureMap map;
  map.left = random_matrix(4, 4, rng);
  map.right = random_matrix(6, 6, rng);
  for (int i = 0; i < 24; ++i) map.scale.push_back(static_cast<float>(0.5 + rng.uniform()));
  const auto loss = [&] { return dot(map_forward(x.view(), map).out, weights); };
  FeatureMap gradient = zeros_like(map);
  Matrix dx = map_backward(map_forward(x.view(), map), x.view(), map, weights, gradient);
  expect_gradient(all(x), all(dx), loss, "x");
  expect_gradient(all(map.left), all(gradient.left), loss, "left");
  expect_gradient(all(map.right), all(gradient.right), loss, "right");
  expect_gradient(map.scale, gradient.scale, loss, "scale");
  Matrix mapped = x;
  map_rows(mapped.view(), map);
  EXPECT_LT(std::abs(dot(mapped, weights) - loss()), 1e-4 * std::abs(loss()) + 1e-4);
}

TEST(FlatquantOps, InverseMaps) {
  Rng rng(2);
  Matrix weight = random_matrix(5, 24, rng);
  const Matrix factors = random_matrix(5, 24, rng);
  FeatureMap map;
  map.left = random_matrix(4, 4, rng, 0.3);
  map.right = random_matrix(6, 6, rng, 0.3);
  for (int i = 0; i < 4; ++i) map.left(i, i) += 2;
  for (int i = 0; i < 6; ++i) map.right(i, i) -= 2;
  for (int i = 0; i < 24; ++i) map.scale.push_back(static_cast<float>(0.5 + rng.uniform()));
  const auto loss = [&] { return dot(map_forward(weight.view(), inverse_map(map)).out, factors); };
  const FeatureMap inverse = inverse_map(map);
  FeatureMap inverse_gradient = zeros_like(inverse), gradient = zeros_like(map);
  map_backward(map_forward(weight.view(), inverse), weight.view(), inverse, factors,
               inverse_gradient);
  inverse_map_backward(inverse, inverse_gradient, gradient);
  expect_gradient(all(map.left), all(gradient.left), loss, "left");
  expect_gradient(all(map.right), all(gradient.right), loss, "right");
  expect_gradient(map.scale, gradient.scale, loss, "scale");
  Matrix mapped = weight;
  map_weight_rows(mapped.view(), map);
  EXPECT_LT(std::abs(dot(mapped, factors) - loss()), 1e-4 * std::abs(loss()) + 1e-4);
}

TEST(FlatquantOps, Quantization) {
  Rng rng(3);
  for (const bool symmetric : {true, false})
    for (const int64_t group : {0, 8})
      for (const size_t rows : {1, 6}) {
        Matrix x = random_matrix(6, 16, rng);
        const Matrix weights = random_matrix(6, 16, rng);
        const QuantSpec spec{.bits = 4, .symmetric = symmetric, .group = group, .round = false};
        ClipLogits clip{.low = std::vector<float>(rows, 0.7f),
                        .high = std::vector<float>(rows, 0.4f)};
        ClipLogits gradient{.low = std::vector<float>(rows), .high = std::vector<float>(rows)};
        const auto loss = [&] { return dot(quantize_forward(x.view(), spec, clip).out, weights); };
        Matrix dx = quantize_backward(quantize_forward(x.view(), spec, clip), x.view(), spec, clip,
                                      weights, gradient);
        expect_gradient(all(x), all(dx), loss, "x", {1e-4f});
        expect_gradient(clip.low, gradient.low, loss, "low", {2e-4f});
        expect_gradient(clip.high, gradient.high, loss, "high", {2e-4f});
      }
}

TEST(FlatquantOps, RoundingLandsOnTheGridOfTheProgram) {
  Rng rng(4);
  const Matrix x = random_matrix(5, 16, rng);
  const ClipLogits clip{.low = {2.0f}, .high = {1.0f}};
  for (const bool symmetric : {true, false}) {
    const Rounded got = quantize_forward(x.view(), {.bits = 4, .symmetric = symmetric}, clip);
    QuantizerSpec spec{.symmetric = symmetric};
    spec.low_share = 1 / (1 + std::exp(-2.0f));
    spec.high_share = 1 / (1 + std::exp(-1.0f));
    Matrix want = x;
    int64_t same = 0;
    for (int64_t i = 0; i < 5; ++i) {
      fake_quantize_row(want.view().row_span(i), 4, spec);
      for (int64_t j = 0; j < 16; ++j) same += std::abs(want(i, j) - got.out(i, j)) < 5e-3f;
    }
    EXPECT_GE(same, 78);  // scales are not rounded to fp16 here
  }
}

TEST(FlatquantOps, NormGateAndAttention) {
  Rng rng(5);
  Matrix x = random_matrix(4, 12, rng), y = random_matrix(4, 12, rng);
  const Matrix weights = random_matrix(4, 12, rng);
  const std::vector<float> norm(12, 1.3f);
  const auto norm_loss = [&] {
    Matrix out(4, 12);
    rms_norm_rows(x.view(), norm, 1e-5, out.view());
    return dot(out, weights);
  };
  Matrix dx = rms_norm_backward(x.view(), norm, 1e-5, weights), dy;
  expect_gradient(all(x), all(dx), norm_loss, "norm");
  gate_backward(x, y, weights, dx, dy);
  const auto gate_loss = [&] { return dot(gate_forward(x, y), weights); };
  expect_gradient(all(x), all(dx), gate_loss, "gate");
  expect_gradient(all(y), all(dy), gate_loss, "up");

  const HeadCounts counts{.heads = 4, .kv_heads = 2, .head_dim = 6};
  Matrix q = random_matrix(7, 24, rng), k = random_matrix(7, 12, rng),
         v = random_matrix(7, 12, rng);
  const Matrix out_weights = random_matrix(7, 24, rng);
  const auto loss = [&] { return dot(attention_forward(q, k, v, counts).out, out_weights); };
  Matrix dq, dk, dv;
  attention_backward(attention_forward(q, k, v, counts), q, k, v, counts, out_weights, dq, dk, dv);
  expect_gradient(all(q), all(dq), loss, "q");
  expect_gradient(all(k), all(dk), loss, "k");
  expect_gradient(all(v), all(dv), loss, "v");
}

class Block : public testing::Test {
 protected:
  Block() {
    const int64_t shapes[kWeights][2] = {{16, 16}, {8, 16},  {8, 16}, {16, 16},
                                         {24, 16}, {24, 16}, {16, 24}};
    for (size_t i = 0; i < kWeights; ++i) {
      weights.weight[i] = random_matrix(shapes[i][0], shapes[i][1], rng, 0.3);
      const Matrix bias = random_matrix(1, shapes[i][0], rng, 0.1);
      weights.bias[i].assign(bias.data(), bias.data() + bias.size());
    }
    weights.attention_norm.assign(16, 1.1f);
    weights.mlp_norm.assign(16, 0.9f);
    config.hidden_size = 16;
    config.intermediate_size = 24;
    config.heads = 4;
    config.kv_heads = 2;
    config.head_dim = 4;
    config.rms_norm_eps = 1e-5;
    Recipe recipe;
    recipe.weights.bits = recipe.activations.bits = recipe.k.bits = recipe.v.bits = 4;
    recipe.activations.quantizer.symmetric = true;
    spec = block_spec(config, recipe);
    const std::vector<float> one(16, 1.0f), wide(24, 1.0f);
    parameters = initial_parameters(weights, config, {one, one, one, wide}, 1);
    rope = make_rope_table(rope_frequencies(4, 10000, {}), 0, 9);
    x = random_matrix(9, 16, rng);
  }
  void round(bool on) {
    for (QuantSpec& quant : spec.quant) quant.round = on;
    spec.weights.round = on;
  }
  Matrix output(const BlockParameters& at) const {
    QuantizedBlock::Pass pass;
    return QuantizedBlock(spec, weights, at).forward(x.view(), rope, pass);
  }

  Rng rng{6};
  LlmConfig config;
  BlockSpec spec;
  BlockWeights weights;
  BlockParameters parameters;
  RopeTable rope;
  Matrix x;
};

TEST_F(Block, GradientsOfAllParameters) {
  round(false);
  const Matrix factors = random_matrix(9, 16, rng);
  BlockParameters gradient = parameters.zeros();
  QuantizedBlock block(spec, weights, parameters);
  QuantizedBlock::Pass pass;
  block.forward(x.view(), rope, pass);
  block.backward(rope, pass, factors, gradient);
  block.finish(gradient);
  const auto loss = [&] { return dot(output(parameters), factors); };
  const auto check = [&](auto values, auto gradients, const char* what,
                         std::initializer_list<float> steps) {
    ASSERT_EQ(values.size(), gradients.size());
    for (size_t i = 0; i < values.size(); ++i)
      expect_gradient(values[i], gradients[i], loss, what + std::to_string(i), steps);
  };
  check(parameters.transforms(), gradient.transforms(), "transform ", {2e-3f, 1e-3f, 5e-4f, 2e-4f});
  check(parameters.clips(), gradient.clips(), "clip ", {2e-2f, 1e-2f, 5e-3f});
}

TEST_F(Block, TransformsAloneChangeNothing) {
  for (QuantSpec& quant : spec.quant) quant.bits = 16;
  spec.weights.bits = 16;
  const Matrix rotated = output(parameters);
  BlockParameters plain = parameters;
  for (FeatureMap& map : plain.map) {
    map.scale.assign(map.scale.size(), 1.0f);
    for (Matrix* matrix : {&map.left, &map.right})
      for (int64_t i = 0; i < matrix->rows(); ++i)
        for (int64_t j = 0; j < matrix->cols(); ++j) (*matrix)(i, j) = i == j ? 1.0f : 0.0f;
  }
  const Matrix want = output(plain);
  for (int64_t i = 0; i < want.size(); ++i) EXPECT_NEAR(rotated.data()[i], want.data()[i], 1e-4);
}

TEST_F(Block, LearningLowersTheError) {
  BlockSpec exact = spec;
  for (QuantSpec& quant : exact.quant) quant.bits = 16;
  exact.weights.bits = 16;
  std::vector<Matrix> inputs, targets;
  for (int i = 0; i < 6; ++i) {
    inputs.push_back(random_matrix(9, 16, rng));
    QuantizedBlock::Pass pass;
    targets.push_back(
        QuantizedBlock(exact, weights, parameters).forward(inputs.back().view(), rope, pass));
  }
  const LearnResult result = learn_block(spec, weights, inputs, targets, rope,
                                         {.context = 9, .windows = 6, .epochs = 30}, parameters);
  EXPECT_LT(result.last_loss, 0.7 * result.first_loss);
}

}  // namespace
}  // namespace stamp::flatquant
