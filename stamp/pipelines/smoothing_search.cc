#include "stamp/pipelines/smoothing_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/models/layer_stream.h"
#include "stamp/nn/matmul.h"
#include "stamp/nn/site_map.h"
#include "stamp/pipelines/windows.h"
#include "stamp/quant/low_rank.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {
namespace {

constexpr float kSmallest = 1e-5f;
constexpr int64_t kSampledTokens = 1024;
constexpr int kSteps = 20;

std::vector<float> column_peaks(ConstFloatView x) {
  std::vector<float> peaks(static_cast<size_t>(x.cols), kSmallest);
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.cols; ++j)
      peaks[static_cast<size_t>(j)] = std::max(peaks[static_cast<size_t>(j)], std::abs(x(i, j)));
  return peaks;
}

Matrix product(ConstFloatView x, const Matrix& weight) {
  Matrix y(x.rows, weight.rows());
  matmul_transposed(x, {DType::kF32, {weight.rows(), weight.cols()}, weight.data()}, {}, y.view(),
                    false);
  return y;
}

/// |want - x^ W^^T - x (branch)^T|^2.
double output_error(ConstFloatView x, ConstFloatView weight, const FeatureMap& map,
                    const Recipe& recipe, const Matrix& want) {
  Matrix input = Matrix::copy_of(x), values = Matrix::copy_of(weight);
  map_rows(input.view(), map);
  map_weight_rows(values.view(), map);
  Matrix got = Matrix::zeros(want.rows(), want.cols());
  if (recipe.weights.rank > 0) {
    const LowRank branch = truncated_svd(values.view(), recipe.weights.rank);
    values = without(values.view(), branch);
    got = product(product(input.view(), branch.down).view(), branch.up);
  }
  fake_quantize_weight(values.view(), recipe.weights);
  TokenQuantizer({.bits = recipe.activations.bits, .quantizer = recipe.activations.quantizer})
      .apply(input.view());
  const Matrix rounded = product(input.view(), values);
  double error = 0;
  for (int64_t i = 0; i < want.size(); ++i)
    error += std::pow(double{want.data()[i]} - got.data()[i] - rounded.data()[i], 2);
  return error;
}

/// Rows of inputs, spread over what passes.
struct SampleObserver : Observer {
  void on_input(const std::string& site, ConstFloatView x, int64_t) override {
    std::vector<float>& rows = samples[site];
    for (int64_t i = 0; i < x.rows; i += step) rows.insert(rows.end(), x.row(i), x.row(i) + x.cols);
  }
  int64_t step = 1;
  std::map<std::string, std::vector<float>> samples;
};

Matrix stacked_weights(const ModelSource& source, int64_t layer, const LinearGroup& group) {
  const auto weights = layer_weights(source, layer, group, {});
  int64_t rows = 0;
  for (const LinearWeight& weight : weights) rows += weight.weight.shape[0];
  Matrix all(rows, group.weights[0].in_dim);
  int64_t first = 0;
  for (const LinearWeight& weight : weights) {
    load_weight_rows(weight.weight, {}, {}, 0, all.view().rows_from(first, weight.weight.shape[0]));
    first += weight.weight.shape[0];
  }
  return all;
}

}  // namespace

std::vector<SmoothingCandidate> smoothing_candidates() {
  std::vector<SmoothingCandidate> candidates = {{}};
  for (int i = 1; i < kSteps; ++i) candidates.push_back({.inputs = double{1} * i / kSteps});
  for (int i = 1; i < kSteps; ++i)
    candidates.push_back({.inputs = double{1} * i / kSteps, .weights = 1 - double{1} * i / kSteps});
  return candidates;
}

std::vector<float> search_smoothing(ConstFloatView x, ConstFloatView weight, const Recipe& recipe) {
  const std::vector<float> inputs = column_peaks(x), weights = column_peaks(weight);
  const Matrix want = product(x, Matrix::copy_of(weight));
  FeatureMap best;
  double least = std::numeric_limits<double>::infinity();
  for (const SmoothingCandidate& candidate : smoothing_candidates()) {
    FeatureMap map;
    if (candidate.inputs > 0)
      for (size_t j = 0; j < inputs.size(); ++j)
        map.scale.push_back(static_cast<float>(std::pow(weights[j], candidate.weights) /
                                               std::pow(inputs[j], candidate.inputs)));
    const double error = output_error(x, weight, map, recipe, want);
    if (error >= least) continue;
    least = error;
    best = std::move(map);
  }
  return best.scale;
}

Calibration search_smoothing(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                             const CalibrateOptions& text) {
  const auto windows =
      make_windows(text.ids, text.bos_id, {.context = text.context, .max_windows = 4});
  const auto stream = make_layer_stream(source, {});
  std::vector<Matrix> hidden;
  for (const auto& window : windows) hidden.push_back(stream->embed(window));
  SampleObserver observer;
  observer.step =
      std::max<int64_t>(1, static_cast<int64_t>(windows.size()) * text.context / kSampledTokens);
  ForwardContext context{.observer = &observer};
  Calibration result;
  Progress progress("smoothing", source->config().layers, "layers");
  for (int64_t layer = 0; layer < source->config().layers; ++layer, progress.advance(1)) {
    if (interrupted()) throw_runtime("smoothing: interrupted");
    observer.samples.clear();
    stream->load(layer, {});
    for (Matrix& x : hidden)
      for (const size_t branch : {0, 1}) stream->run(branch, x, context);
    for (const LinearGroup& group : linear_groups(source->config())) {
      const std::string site = fmt::format("layers.{}.{}", layer, group.input);
      std::vector<float>& rows = observer.samples.at(site);
      const int64_t cols = group.weights[0].in_dim;
      const ConstFloatView x{rows.data(), static_cast<int64_t>(rows.size()) / cols, cols, cols};
      SiteStatistics& statistics = result[site];
      statistics.scale = search_smoothing(x, stacked_weights(*source, layer, group).view(), recipe);
      if (statistics.scale.empty()) statistics.scale.assign(static_cast<size_t>(cols), 1.0f);
    }
  }
  return result;
}

}  // namespace stamp
