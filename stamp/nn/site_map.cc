#include "stamp/nn/site_map.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/core/rng.h"
#include "stamp/io/mmap.h"
#include "stamp/nn/matmul.h"
#include "stamp/nn/row_loop.h"
#include "stamp/nn/site_statistics.h"

namespace stamp {
namespace {

void check_channels(const std::string& site, const char* what, size_t got, int64_t in_dim) {
  if (static_cast<int64_t>(got) != in_dim)
    throw_runtime("{}: calibrated {} have {} channels, expected {}", site, what, got, in_dim);
}

/// A site that the transform leaves alone has none.
SiteStatistics feature_statistics(const std::string& site, const Calibration* calibration) {
  if (calibration != nullptr && !calibration->empty() && !calibration->contains(site)) return {};
  return statistics_of(site, calibration);
}

}  // namespace

const FeatureMap& GroupBasis::output(size_t weight) const {
  static const FeatureMap kNone;
  return weight < outputs.size() ? outputs[weight] : kNone;
}

std::span<const float> GroupBasis::row_clips(size_t weight, int64_t first, int64_t count) const {
  if (weight >= clips.size() || clips[weight].empty()) return {};
  return std::span(clips[weight])
      .subspan(static_cast<size_t>(2 * first), static_cast<size_t>(2 * count));
}

void GroupBasis::keep_outputs(size_t weight, int64_t out_dim, int64_t first, int64_t count) {
  if (weight < outputs.size() && !outputs[weight].empty())
    outputs[weight] = part_of(outputs[weight], out_dim, first, count);
  if (weight < clips.size() && !clips[weight].empty()) {
    const auto begin = clips[weight].begin() + 2 * first;
    clips[weight] = {begin, begin + 2 * count};
  }
}

std::vector<float> random_signs(int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> signs(static_cast<size_t>(count));
  for (float& sign : signs) sign = rng.below(2) == 0 ? 1.0f : -1.0f;
  return signs;
}

FeatureMap site_map(const std::string& site, const Recipe& recipe, const Calibration* calibration,
                    int64_t in_dim, int64_t head_dim, int64_t parts) {
  FeatureMap map;
  if (recipe.feature == "hadamard" || recipe.feature == "vidit-q")
    map.hadamard = plan_hadamard(in_dim / parts, head_dim);
  if (recipe.needs_smoothing() || recipe.needs_learning()) {
    const SiteStatistics statistics = feature_statistics(site, calibration);
    map.scale = statistics.scale;
    map.left = statistics.left;
    map.right = statistics.right;
    if (!map.scale.empty()) check_channels(site, "factors", map.scale.size(), in_dim);
  }
  if (recipe.center == "none" || recipe.activations.bits == 16) return map;
  const SiteStatistics& statistics = statistics_of(site, calibration);
  if (!statistics.center) return map;
  check_channels(site, "means", statistics.mean.size(), in_dim);
  map.mean = statistics.mean;
  return map;
}

int64_t rows_at_once(const FeatureMap& output, int64_t out_dim, int64_t wanted) {
  return output.empty() ? std::min(wanted, out_dim) : out_dim;
}

void load_weight_rows(const TensorView& weight, const FeatureMap& input, const FeatureMap& output,
                      int64_t first, FloatView out) {
  if (!output.empty() && out.rows != weight.shape[0])
    throw_argument("load weight: with a map of outputs all {} rows are needed, got {}",
                   weight.shape[0], out.rows);
  for_each_row(out.rows, out.cols,
               [&](int64_t i) { to_f32(weight, (first + i) * out.cols, out.row_span(i)); });
  const int64_t row_bytes = dtype_bytes(weight.dtype, out.cols);
  drop_mapped_pages(static_cast<const char*>(weight.data) + first * row_bytes,
                    out.rows * row_bytes);
  map_weight_rows(out, input);
  map_weight_columns(out, output);
}

std::vector<float> load_bias(const std::optional<TensorView>& bias, const FeatureMap& output) {
  if (!bias) return {};
  std::vector<float> values(static_cast<size_t>(bias->size()));
  to_f32(*bias, 0, values);
  map_weight_columns({values.data(), bias->size(), 1, 1}, output);
  return values;
}

void add_centering(const FeatureMap& map, const TensorView& weight, std::span<float> bias) {
  const int64_t rows = weight.shape[0], cols = weight.shape[1];
  const std::vector<float> start(bias.begin(), bias.end());
  matmul_transposed({map.mean.data(), 1, cols, cols}, weight, start, {bias.data(), 1, rows, rows},
                    false);
}

}  // namespace stamp
