#include "stamp/pipelines/quantize_layers.h"

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/nn/site_map.h"
#include "stamp/pipelines/windows.h"
#include "stamp/quant/gptq.h"

namespace stamp {
namespace {

/// Sums up the Hessian of one site's input in the basis in which its weights are quantized.
struct HessianObserver : Observer {
  HessianObserver(std::string site, FeatureMap map, int64_t dim)
      : site(std::move(site)), map(std::move(map)), hessian(dim) {}
  void on_input(const std::string& name, ConstFloatView x, int64_t) override {
    if (name != site) return;
    Matrix mapped = Matrix::copy_of(x);
    map_rows(mapped.view(), map);
    hessian.add(mapped.view());
  }
  std::string site;
  FeatureMap map;
  Hessian hessian;
};

Recipe without_activations(Recipe recipe) {
  recipe.activations = {};
  recipe.k = recipe.v = {};
  recipe.attention_bits = 16;
  recipe.center = "none";
  recipe.lm_head = {};
  recipe.embedding_bits = 16;
  recipe.layers.clear();
  return recipe;
}

}  // namespace

LayerQuantizer::LayerQuantizer(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                               const Calibration* calibration, const CalibrateOptions& text)
    : source_(std::move(source)),
      groups_(linear_groups(source_->config())),
      recipe_(recipe),
      weights_only_(without_activations(recipe)),
      calibration_(calibration),
      stream_(make_layer_stream(source_)) {
  const auto windows = make_windows(text.ids, text.bos_id,
                                    {.context = text.context, .max_windows = text.max_windows});
  for (const auto& window : windows) hidden_.push_back(stream_->embed(window));
}

void LayerQuantizer::pass(size_t branch) {
  ForwardContext context;
  for (Matrix& x : hidden_) stream_->run(branch, x, context);
}

void LayerQuantizer::quantize_group(size_t index, WeightCodes& codes) {
  const LinearGroup& group = groups_[index];
  const Recipe recipe = recipe_for_layer(recipe_, layer_);
  const std::string site = fmt::format("layers.{}.{}", layer_, group.input);
  const int64_t in_dim = group.weights[0].in_dim;
  const FeatureMap map = site_map(site, recipe, calibration_, in_dim, group.head_dim);
  HessianObserver observer(site, map, in_dim);
  ForwardContext context{.observer = &observer};
  for (const Matrix& hidden : hidden_) {
    if (interrupted()) throw_runtime("gptq: interrupted");
    Matrix x = hidden;
    stream_->run(group.branch, x, context);
  }
  const GptqFactor factor = factor_hessian(observer.hessian, recipe.weights);
  for (const LinearWeight& weight : layer_weights(*source_, layer_, group, recipe)) {
    Matrix values(weight.weight.shape[0], in_dim);
    load_weight_rows(weight.weight, map, 0, values.view());
    codes[weight.name] = gptq(values.view(), factor, recipe.weights);
  }
  stream_->load_group(index, {.recipe = weights_only_, .codes = &codes});
}

WeightCodes LayerQuantizer::next() {
  WeightCodes codes;
  stream_->load(layer_, {});
  for (size_t branch = 0; branch < 2; ++branch) {
    for (size_t i = 0; i < groups_.size(); ++i)
      if (groups_[i].branch == branch && stores_group(recipe_, layer_, groups_[i]))
        quantize_group(i, codes);
    pass(branch);
  }
  ++layer_;
  return codes;
}

void LayerQuantizer::skip(const WeightCodes& codes) {
  stream_->load(layer_, {.recipe = weights_only_, .codes = &codes});
  for (size_t branch = 0; branch < 2; ++branch) pass(branch);
  ++layer_;
}

std::string weights_key(const Recipe& recipe) {
  Recipe key = recipe.center == "none" ? without_activations(recipe) : recipe;
  key.name = "weights";
  return to_json(key).dump();
}

WeightCodes weight_codes_for(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                             const Calibration& calibration,
                             const std::function<CalibrateOptions()>& text) {
  WeightCodes codes;
  if (!recipe.needs_weight_calibration() || source->stored_recipe() != nullptr) return codes;
  const int64_t layers = source->config().layers;
  LayerQuantizer quantizer(std::move(source), recipe, &calibration, text());
  Progress progress(recipe.weights.quantizer, layers, "layers");
  for (int64_t i = 0; i < layers; ++i) {
    codes.merge(quantizer.next());
    progress.advance(1);
  }
  return codes;
}

}  // namespace stamp
