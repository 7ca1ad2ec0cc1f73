// Output and gradients beside PyTorch's, rounding on (tools/make_flatquant_oracle.py).
#include <gtest/gtest.h>

#include <cmath>

#include "stamp/io/safetensors.h"
#include "stamp/pipelines/flatquant/learn.h"

namespace stamp::flatquant {
namespace {

const char* const kSiteNames[kSites] = {"in", "o", "mlp", "down", "key", "value"};
const char* const kWeightNames[kWeights] = {"q", "k", "v", "o", "gate", "up", "down"};

class Reference : public testing::Test {
 protected:
  std::vector<float> values(const std::string& name) const {
    const TensorView& tensor = file.at(name);
    std::vector<float> result(static_cast<size_t>(tensor.size()));
    to_f32(tensor, 0, result);
    return result;
  }
  Matrix matrix(const std::string& name) const {
    const std::vector<float> flat = values(name);
    const Shape& shape = file.at(name).shape;
    Matrix result(shape.at(0), shape.at(1));
    std::copy(flat.begin(), flat.end(), result.data());
    return result;
  }
  ClipLogits clip(const std::string& name) const {
    const std::vector<float> both = values(name);
    const auto middle = both.begin() + static_cast<std::ptrdiff_t>(both.size() / 2);
    return {.low = {both.begin(), middle}, .high = {middle, both.end()}};
  }
  /// Tensors called prefix + "map.in.left" and so on.
  BlockParameters parameters(const std::string& prefix) const {
    BlockParameters result;
    for (size_t site = 0; site < kSites; ++site) {
      const std::string map = prefix + "map." + kSiteNames[site];
      if (file.contains(map + ".left")) result.map[site].left = matrix(map + ".left");
      if (file.contains(map + ".right")) result.map[site].right = matrix(map + ".right");
      if (file.contains(map + ".scale")) result.map[site].scale = values(map + ".scale");
      result.clip[site] = clip(prefix + "clip." + kSiteNames[site]);
    }
    for (size_t i = 0; i < kWeights; ++i)
      result.weight_clip[i] = clip(prefix + "weight_clip." + kWeightNames[i]);
    return result;
  }

  const Safetensors file = Safetensors::open(std::filesystem::path(STAMP_SOURCE_DIR) /
                                             "tests/data/flatquant.safetensors");
};

void expect_near(std::span<const float> got, std::span<const float> want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  float size = 0;
  for (const float value : want) size = std::max(size, std::abs(value));
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_NEAR(got[i], want[i], 1e-4f * size) << what << " " << i;
}

TEST_F(Reference, OutputAndGradientsAreThoseOfAutograd) {
  BlockWeights weights;
  for (size_t i = 0; i < kWeights; ++i) {
    weights.weight[i] = matrix(std::string("weight.") + kWeightNames[i]);
    weights.bias[i] = values(std::string("bias.") + kWeightNames[i]);
  }
  weights.attention_norm = values("norm.attention");
  weights.mlp_norm = values("norm.mlp");
  LlmConfig config;
  config.hidden_size = 16, config.intermediate_size = 24;
  config.heads = 4, config.kv_heads = 2, config.head_dim = 4;
  config.rms_norm_eps = 1e-5;
  Recipe recipe;
  recipe.weights.bits = recipe.activations.bits = recipe.k.bits = recipe.v.bits = 4;
  recipe.activations.quantizer.symmetric = true;
  const BlockSpec spec = block_spec(config, recipe);
  BlockParameters at = parameters("");
  const Matrix x = matrix("x");
  const RopeTable rope = make_rope_table(rope_frequencies(4, 10000, {}), 0, x.rows());

  QuantizedBlock block(spec, weights, at);
  QuantizedBlock::Pass pass;
  const Matrix out = block.forward(x.view(), rope, pass);
  expect_near({out.data(), static_cast<size_t>(out.size())}, values("output"), "output");
  BlockParameters gradient = at.zeros();
  block.backward(rope, pass, matrix("factors"), gradient);
  block.finish(gradient);
  BlockParameters want = parameters("gradient.");
  const auto check = [](const auto& got, const auto& wanted, const std::string& what) {
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i)
      expect_near(got[i], wanted[i], what + std::to_string(i));
  };
  check(gradient.transforms(), want.transforms(), "transform ");
  check(gradient.clips(), want.clips(), "clip ");
}

}  // namespace
}  // namespace stamp::flatquant
