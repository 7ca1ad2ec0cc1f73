#include "stamp/nn/site_map.h"

#include "stamp/core/error.h"
#include "stamp/io/mmap.h"
#include "stamp/nn/matmul.h"
#include "stamp/nn/row_loop.h"
#include "stamp/nn/site_statistics.h"

namespace stamp {

FeatureMap site_map(const std::string& site, const Recipe& recipe, const Calibration* calibration,
                    int64_t in_dim, int64_t head_dim) {
  FeatureMap map;
  if (recipe.feature == "hadamard") map.hadamard = plan_hadamard(in_dim, head_dim);
  if (recipe.center == "none" || recipe.activations.bits == 16) return map;
  const SiteStatistics& statistics = statistics_of(site, calibration);
  if (!statistics.center) return map;
  if (static_cast<int64_t>(statistics.mean.size()) != in_dim)
    throw_runtime("{}: calibrated means have {} channels, expected {}", site,
                  statistics.mean.size(), in_dim);
  map.mean = statistics.mean;
  return map;
}

void load_weight_rows(const TensorView& weight, const FeatureMap& map, int64_t first,
                      FloatView out) {
  for_each_row(out.rows, out.cols,
               [&](int64_t i) { to_f32(weight, (first + i) * out.cols, out.row_span(i)); });
  const int64_t row_bytes = out.cols * dtype_size(weight.dtype);
  drop_mapped_pages(static_cast<const char*>(weight.data) + first * row_bytes,
                    out.rows * row_bytes);
  map_weight_rows(out, map);
}

void add_centering(const FeatureMap& map, const TensorView& weight, std::span<float> bias) {
  const int64_t rows = weight.shape[0], cols = weight.shape[1];
  const std::vector<float> start(bias.begin(), bias.end());
  matmul_transposed({map.mean.data(), 1, cols, cols}, weight, start, {bias.data(), 1, rows, rows},
                    false);
}

}  // namespace stamp
