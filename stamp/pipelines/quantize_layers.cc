#include "stamp/pipelines/quantize_layers.h"

#include <optional>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/nn/site_map.h"
#include "stamp/pipelines/windows.h"
#include "stamp/quant/gptq.h"
#include "stamp/quant/low_rank.h"

namespace stamp {
namespace {

/// Sums up the Hessian of one site's input in the basis in which its weights are quantized.
class HessianObserver : public Observer {
 public:
  HessianObserver(std::string site, FeatureMap map)
      : site_(std::move(site)), map_(std::move(map)) {}
  void on_input(const std::string& name, ConstFloatView x, int64_t) override {
    if (name != site_) return;
    Matrix mapped = Matrix::copy_of(x);
    map_rows(mapped.view(), map_);
    if (!hessian_) begin(channel_rms(mapped.view()));
    hessian_->add(mapped.view());
  }
  /// Of what all processes have seen.
  const Hessian& of_all_processes(int64_t dim) {
    if (!hessian_) begin(std::vector<float>(static_cast<size_t>(dim)));
    communicator().sum(hessian_->sums());
    return *hessian_;
  }

 private:
  /// All processes begin with the first one's, which has the first window.
  void begin(std::vector<float> rms) {
    communicator().broadcast(std::as_writable_bytes(std::span(rms)), 0);
    hessian_.emplace(rms);
  }

  std::string site_;
  FeatureMap map_;
  std::optional<Hessian> hessian_;
};

Recipe without_activations(Recipe recipe) {
  recipe.activations = {};
  recipe.k = recipe.v = {};
  recipe.attention_bits = 16;
  recipe.center = "none";
  recipe.lm_head = {};
  recipe.embedding_bits = 16;
  recipe.layers.clear();
  recipe.sites.clear();
  return recipe;
}

}  // namespace

void split_group(const std::vector<LinearWeight>& weights, const std::vector<Matrix>& values,
                 int64_t rank, const Hessian& hessian,
                 const std::function<StoredWeightBuffer(ConstFloatView)>& quantize,
                 WeightCodes& codes) {
  int64_t rows = 0;
  for (const Matrix& part : values) rows += part.rows();
  Matrix all(rows, values[0].cols());
  float* end = all.data();
  for (const Matrix& part : values) end = std::copy_n(part.data(), part.size(), end);
  const BranchAndCodes split = split_low_rank(all.view(), rank, hessian, quantize);
  int64_t first = 0;
  for (size_t i = 0; i < values.size(); first += values[i++].rows()) {
    const int64_t count = values[i].rows();
    CalibratedWeight& own = codes[weights[i].name];
    own.stored = copy_of(rows_of(split.codes.view, first, count));
    own.branch.down = split.branch.down;
    own.branch.up = Matrix::copy_of(split.branch.up.view().rows_from(first, count));
  }
}

LayerQuantizer::LayerQuantizer(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                               const Calibration* calibration, const CalibrateOptions& text)
    : source_(std::move(source)),
      groups_(linear_groups(source_->config())),
      recipe_(recipe),
      weights_only_(without_activations(recipe)),
      calibration_(calibration),
      stream_(make_layer_stream(source_, recipe)) {
  const auto windows = make_windows(text.ids, text.bos_id,
                                    {.context = text.context, .max_windows = text.max_windows});
  const Communicator& processes = communicator();
  for (size_t i = 0; i < windows.size(); ++i)
    if (static_cast<int>(i) % processes.size() == processes.rank())
      hidden_.push_back(stream_->embed(windows[i]));
}

ModelOptions LayerQuantizer::options(const WeightCodes& codes) const {
  return {
      .recipe = weights_only_, .calibration = calibration_, .codes = &codes, .codes_pending = true};
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
  const GroupBasis basis = layer_basis(*source_, layer_, recipe, calibration_).groups.at(index);
  HessianObserver observer(site, basis.online);
  ForwardContext context{.observer = &observer};
  for (const Matrix& hidden : hidden_) {
    if (interrupted()) throw_runtime("gptq: interrupted");
    Matrix x = hidden;
    stream_->run(group.branch, x, context);
  }
  const Hessian& hessian = observer.of_all_processes(in_dim);
  const WeightSpec& spec = recipe.weights;
  const GptqFactor factor = spec.quantizer == "gptq" ? factor_hessian(hessian, spec) : GptqFactor{};
  const auto quantize = [&](ConstFloatView values) {
    return spec.quantizer == "gptq" ? gptq(values, factor, spec) : quantize_weight(values, spec);
  };
  std::vector<Matrix> stacked;
  const auto weights = layer_weights(*source_, layer_, group, recipe);
  for (size_t i = 0; i < weights.size(); ++i) {
    Matrix values(weights[i].weight.shape[0], in_dim);
    load_weight_rows(weights[i].weight, basis.input, basis.output(i), 0, values.view());
    if (spec.rank == 0) codes[weights[i].name].stored = quantize(values.view());
    stacked.push_back(std::move(values));
  }
  if (spec.rank > 0) split_group(weights, stacked, spec.rank, hessian, quantize, codes);
  stream_->load_group(index, options(codes));
}

WeightCodes LayerQuantizer::next() {
  WeightCodes codes;
  stream_->load(layer_, options(codes));
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
  stream_->load(layer_, options(codes));
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
