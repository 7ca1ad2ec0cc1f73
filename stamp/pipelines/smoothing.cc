#include "stamp/pipelines/smoothing.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/nn/site_map.h"

namespace stamp {
namespace {

constexpr float kSmallest = 1e-5f;
constexpr int64_t kRows = 1024;  // of a weight at a time

/// Largest magnitude of every input channel over all rows of weights that share an input.
std::vector<float> weight_peaks(const std::vector<LinearWeight>& weights, int64_t in_dim) {
  std::vector<float> peaks(static_cast<size_t>(in_dim), kSmallest);
  Matrix rows;
  for (const LinearWeight& weight : weights) {
    const int64_t out_dim = weight.weight.shape[0];
    for (int64_t first = 0; first < out_dim; first += kRows) {
      rows.reshape(std::min(kRows, out_dim - first), in_dim);
      load_weight_rows(weight.weight, {}, {}, first, rows.view());
      parallel_ranges(in_dim, 64, [&](int64_t begin, int64_t end) {
        for (int64_t i = 0; i < rows.rows(); ++i)
          for (int64_t j = begin; j < end; ++j)
            peaks[static_cast<size_t>(j)] =
                std::max(peaks[static_cast<size_t>(j)], std::abs(rows(i, j)));
      });
    }
  }
  return peaks;
}

std::vector<float> smoothquant(std::span<const float> inputs, std::span<const float> weights,
                               float alpha) {
  std::vector<float> scale(inputs.size());
  for (size_t j = 0; j < scale.size(); ++j)
    scale[j] =
        1 / std::max(kSmallest, std::pow(inputs[j], alpha) / std::pow(weights[j], 1 - alpha));
  return scale;
}

/// The signs belong to the rotation that follows.
std::vector<float> static_dynamic_balance(std::span<const float> inputs,
                                          std::span<const float> weights, float alpha,
                                          uint64_t seed) {
  std::vector<float> scale = random_signs(static_cast<int64_t>(inputs.size()), seed);
  for (size_t j = 0; j < scale.size(); ++j)
    scale[j] *= std::pow(weights[j], alpha) / std::pow(std::max(kSmallest, inputs[j]), 1 - alpha);
  return scale;
}

}  // namespace

void PeakObserver::on_input(const std::string& site, ConstFloatView x, int64_t) {
  std::vector<float>& peak = peaks[site];
  peak.resize(static_cast<size_t>(x.cols));
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.cols; ++j)
      peak[static_cast<size_t>(j)] = std::max(peak[static_cast<size_t>(j)], std::abs(x(i, j)));
}

std::vector<float> smoothing_scale(const Recipe& recipe, std::span<const float> inputs,
                                   const std::vector<LinearWeight>& weights, uint64_t seed) {
  const auto alpha = static_cast<float>(recipe.smoothing.alpha);
  const std::vector<float> peaks = weight_peaks(weights, static_cast<int64_t>(inputs.size()));
  return recipe.feature == "vidit-q" ? static_dynamic_balance(inputs, peaks, alpha, seed)
                                     : smoothquant(inputs, peaks, alpha);
}

Calibration smoothing_factors(const ModelSource& source, const Recipe& recipe,
                              const PeakObserver& observer) {
  Calibration result;
  uint64_t seed = static_cast<uint64_t>(recipe.seed) << 32;
  for (int64_t layer = 0; layer < source.config().layers; ++layer)
    for (const LinearGroup& group : linear_groups(source.config())) {
      const std::string site = fmt::format("layers.{}.{}", layer, group.input);
      SiteStatistics& statistics = result[site];
      if (!group.behind_norm && !recipe.smoothing.all_inputs) continue;
      statistics.scale = smoothing_scale(recipe, observer.peaks.at(site),
                                         layer_weights(source, layer, group, {}), seed++);
    }
  return result;
}

}  // namespace stamp
