// Whole models: the integer path against the simulation, for every preset.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "stamp/core/rng.h"
#include "stamp/models/weights.h"

namespace stamp {
namespace {

constexpr int64_t kTokens = 192;

/// The inputs of all linears of one pass.
struct Inputs : Observer {
  std::map<std::string, Matrix> sites;
  void on_input(const std::string& site, ConstFloatView x, int64_t) override {
    sites[site] = Matrix::copy_of(x);
  }
};

struct Pass {
  Inputs inputs;
  Matrix logits;
};

Pass run(const Model& model, std::span<const int32_t> ids) {
  Pass result;
  ForwardContext context{.observer = &result.inputs};
  KvCache cache = model.make_cache(kTokens);
  const Matrix hidden = model.forward(ids, cache, context);
  result.logits.reshape(hidden.rows(), model.config().vocab_size);
  context.observer = nullptr;
  model.logits(hidden.view(), result.logits.view(), context);
  return result;
}

/// Mean KL(p || q) of the softmax of the rows.
double kl(const Matrix& p, const Matrix& q) {
  const auto log_sum = [](std::span<const float> x) {
    double sum = 0;
    for (const float v : x) sum += std::exp(static_cast<double>(v));
    return std::log(sum);
  };
  double total = 0;
  for (int64_t i = 0; i < p.rows(); ++i) {
    const double a = log_sum(p.view().row_span(i)), b = log_sum(q.view().row_span(i));
    for (int64_t j = 0; j < p.cols(); ++j)
      total += std::exp(p(i, j) - a) * ((p(i, j) - a) - (q(i, j) - b));
  }
  return total / static_cast<double>(p.rows());
}

Matrix turned(int64_t n) {  // orthonormal: every feature becomes its neighbour
  Matrix matrix = Matrix::zeros(n, n);
  for (int64_t i = 0; i < n; ++i) matrix(i, (i + 1) % n) = 1;
  return matrix;
}

/// Statistics that any text could have given: waterfill, centering and feature transforms need
/// some.
Calibration statistics(const Inputs& inputs, const LlmConfig& config) {
  Calibration result;
  const auto add = [&](const std::string& site, int64_t channels) {
    SiteStatistics& s = result[site];
    s.mean.assign(static_cast<size_t>(channels), 0.0f);
    for (int64_t i = 0; i < 64; ++i) s.range2.push_back(100.0f / static_cast<float>(1 + i));
  };
  for (const auto& [site, x] : inputs.sites) add(site, x.cols());
  for (int64_t i = 0; i < config.layers; ++i)
    for (const LinearGroup& group : linear_groups(config)) {
      SiteStatistics& s = result.at(fmt::format("layers.{}.{}", i, group.input));
      for (int64_t j = 0; j < group.weights[0].in_dim; ++j)
        s.scale.push_back(j % 2 == 0 ? 0.5f : -1.5f);
      s.clip = {0.9f, 0.8f};
      for (const WeightRequest& weight : group.weights)
        s.weight_clip.insert(s.weight_clip.end(), static_cast<size_t>(2 * weight.out_dim), 0.95f);
      if (group.head_dim > 0) s.right = turned(group.head_dim);
    }
  for (int64_t i = 0; i < config.layers; ++i)
    for (const char* part : {"k", "v"})
      add(fmt::format("layers.{}.{}", i, part), config.kv_heads * config.head_dim);
  for (int64_t i = 0; i < config.layers; ++i)
    for (const char* part : {"k", "v"})
      result.at(fmt::format("layers.{}.{}", i, part)).right = turned(config.head_dim);
  return result;
}

using Case = std::tuple<const char*, std::string>;
class IntegerModel : public testing::TestWithParam<Case> {};

TEST_P(IntegerModel, AgreesWithTheSimulation) {
  const auto& [folder, preset] = GetParam();
  const auto source = ModelSource::open(std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm" /
                                        folder / "ckpt");
  Rng rng(11);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < kTokens; ++i)
    ids.push_back(
        static_cast<int32_t>(rng.below(static_cast<uint64_t>(source->config().vocab_size))));

  const Pass plain = run(*make_model(source), ids);
  ModelOptions options{.recipe = load_recipe(preset)};
  options.recipe.weights.quantizer = "rtn";  // codes that need a text are no different
  options.recipe.weights.rank = 0;
  const Calibration calibration = statistics(plain.inputs, source->config());
  options.calibration = &calibration;
  const Pass integer = run(*make_model(source, options), ids);
  options.execution = Execution::kSimulated;
  const Pass simulated = run(*make_model(source, options), ids);

  int64_t codes = 0, differing = 0;
  for (const auto& [site, x] : integer.inputs.sites) {
    if (options.recipe.activations.bits == 16) continue;
    const TokenQuantizer quantizer(options.recipe.activations, calibration.at(site).range2);
    if (!quantizer.can_encode()) continue;
    FeatureMap transform;
    if (options.recipe.feature == "hadamard") transform.hadamard = plan_hadamard(x.cols(), 0);
    ActivationCodes a, b;
    quantizer.encode(x.view(), 0, transform, a);
    quantizer.encode(simulated.inputs.sites.at(site).view(), 0, transform, b);
    for (int64_t i = 0; i < a.rows; ++i)
      for (int64_t j = 0; j < a.cols; ++j) differing += a.row(i)[j] != b.row(i)[j];
    codes += a.rows * a.cols;
  }
  EXPECT_EQ(differing, 0) << differing << " of " << codes << " codes differ";
  const double got = kl(plain.logits, integer.logits), want = kl(plain.logits, simulated.logits);
  EXPECT_NEAR(got, want, 0.01 * want + 1e-9);
}

std::vector<Case> cases() {
  std::vector<Case> result;
  for (const char* folder : {"llama", "qwen2"})
    for (const std::string& preset : preset_names()) result.emplace_back(folder, preset);
  return result;
}

INSTANTIATE_TEST_SUITE_P(Presets, IntegerModel, testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param);
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

}  // namespace
}  // namespace stamp
