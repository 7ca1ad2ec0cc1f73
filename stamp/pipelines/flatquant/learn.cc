// Blocks of a model one after another: their inputs, outputs and what was learned (learn.h).
#include "stamp/pipelines/flatquant/learn.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/io/atomic_file.h"
#include "stamp/io/model_files.h"
#include "stamp/io/sha256.h"
#include "stamp/models/calibration_file.h"
#include "stamp/nn/site_map.h"
#include "stamp/pipelines/smoothing.h"
#include "stamp/pipelines/windows.h"

namespace stamp::flatquant {
namespace {

constexpr std::array kNames = {"attn_in", "o_in", "mlp_in", "down_in", "k", "v"};

std::string site_name(int64_t layer, size_t site) {
  return fmt::format("layers.{}.{}", layer, kNames[site]);
}

BlockWeights load_block(const ModelSource& source, int64_t layer) {
  const LayerBasis basis = layer_basis(source, layer, {}, nullptr);
  BlockWeights block{
      .weight = {}, .bias = {}, .attention_norm = basis.attention_norm, .mlp_norm = basis.mlp_norm};
  size_t index = 0;
  for (const LinearGroup& group : linear_groups(source.config()))
    for (const LinearWeight& weight : layer_weights(source, layer, group, {})) {
      Matrix& values = block.weight.at(index);
      values = Matrix(weight.weight.shape[0], weight.weight.shape[1]);
      load_weight_rows(weight.weight, {}, {}, 0, values.view());
      block.bias[index] = load_bias(weight.bias, {});
      block.bias[index].resize(static_cast<size_t>(values.rows()));
      ++index;
    }
  if (index != kWeights)
    throw_runtime("flatquant: expected a decoder block of {} weights, got {}", +kWeights, index);
  return block;
}

float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

/// Where recipes look for what was learned. Weights of a site follow one another.
Calibration statistics_of(const BlockParameters& parameters, int64_t layer) {
  Calibration result;
  for (size_t site = 0; site < kSites; ++site) {
    SiteStatistics& own = result[site_name(layer, site)];
    own.scale = parameters.map[site].scale;
    own.left = parameters.map[site].left;
    own.right = parameters.map[site].right;
    own.clip = {sigmoid(parameters.clip[site].low[0]), sigmoid(parameters.clip[site].high[0])};
  }
  result[site_name(layer, kOutputInput)].right = parameters.map[kValue].right;
  constexpr std::array<size_t, kWeights> kSite = {kAttentionInput, kAttentionInput, kAttentionInput,
                                                  kOutputInput,    kMlpInput,       kMlpInput,
                                                  kDownInput};
  for (size_t i = 0; i < kWeights; ++i)
    for (size_t row = 0; row < parameters.weight_clip[i].low.size(); ++row) {
      std::vector<float>& clip = result[site_name(layer, kSite[i])].weight_clip;
      clip.push_back(sigmoid(parameters.weight_clip[i].low[row]));
      clip.push_back(sigmoid(parameters.weight_clip[i].high[row]));
    }
  return result;
}

/// What the result depends on, as a short name.
std::string cache_name(const ModelSource& source, const Recipe& recipe,
                       const CalibrateOptions& text, const LearnOptions& options) {
  Json ids = text.ids;
  const Json key = {{"model", std::filesystem::weakly_canonical(source.directory()).string()},
                    {"bytes", source.weights().bytes()},
                    {"config", read_model_json(source.directory(), "config.json")},
                    {"recipe", learning_key(recipe)},
                    {"ids", ids},
                    {"context", options.context},
                    {"windows", options.windows},
                    {"batch", options.batch},
                    {"epochs", options.epochs}};
  return "flatquant-" + sha256(key.dump()).substr(0, 16);
}

}  // namespace

std::string learning_key(const Recipe& recipe) {
  Recipe key = recipe;
  key.name = "flatquant";
  key.lm_head = {};
  key.embedding_bits = key.attention_bits = 16;
  key.exclude.clear();
  key.layers.clear();
  key.center = "none";
  key.kv_block = 64;
  key.weights = {.bits = recipe.weights.bits,
                 .group = recipe.weights.group,
                 .symmetric = recipe.weights.symmetric,
                 .mse_clip = recipe.weights.mse_clip,
                 .rank = recipe.weights.rank};
  for (TokenSpec* spec : std::initializer_list<TokenSpec*>{&key.activations, &key.k, &key.v}) {
    spec->sequence = {};
    spec->plan = {};
  }
  return to_json(key).dump();
}

Calibration learn(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                  const CalibrateOptions& text, const LearnOptions& options) {
  const LlmConfig& config = source->config();
  const BlockSpec spec = block_spec(config, recipe);
  const int64_t context = std::min(options.context, text.context);
  const auto windows =
      make_windows(text.ids, text.bos_id, {.context = context, .max_windows = options.windows});
  const RopeTable rope = make_rope_table(rope_frequencies(config), 0, context);
  const std::string cache = cache_name(*source, recipe, text, options);
  if (!text.cache.empty()) make_folders(text.cache);  // now, not after the first layer
  const auto stream = make_layer_stream(source, {});
  std::vector<Matrix> inputs, targets;
  for (const auto& window : windows) targets.push_back(stream->embed(window));
  Calibration result;
  Progress progress("flatquant", config.layers, "layers");
  for (int64_t layer = 0; layer < config.layers; ++layer, progress.advance(1)) {
    const auto file = text.cache / fmt::format("{}-{}.safetensors", cache, layer);
    stream->load(layer, {});
    PeakObserver peaks;
    ForwardContext forward{.observer = &peaks};
    inputs = targets;
    for (Matrix& x : targets)
      for (const size_t branch : {0, 1}) stream->run(branch, x, forward);
    if (!text.cache.empty() && std::filesystem::exists(file)) {
      result.merge(read_calibration(file));
      continue;
    }
    std::array<std::vector<float>, kSites> site_peaks;
    for (size_t site = kAttentionInput; site <= kDownInput; ++site)
      site_peaks[site] = peaks.peaks.at(site_name(layer, site));
    const BlockWeights weights = load_block(*source, layer);
    const auto seed = static_cast<uint64_t>(recipe.seed) << 32 | static_cast<uint64_t>(layer);
    BlockParameters parameters = initial_parameters(weights, config, site_peaks, seed);
    learn_block(spec, weights, inputs, targets, rope, options, parameters);
    Calibration learned = statistics_of(parameters, layer);
    if (!text.cache.empty()) write_calibration(file, learned);
    result.merge(learned);
  }
  return result;
}

}  // namespace stamp::flatquant
