#include "stamp/quant/weight_quant.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr int kClipCandidates = 80;  // 1.00, 0.99, ..., 0.21

/// Weights per call of the kernel: a candidate that has lost is given up after a few of them.
constexpr int64_t kChunk = 512;

/// sum |w - w^|^2 in units of the scale; one order of additions, so equal everywhere.
double squared_error(const float* weights, int64_t count, const Grid& grid) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double error = weights[i] * grid.inverse - grid_code(weights[i], grid);
    sum += error * error;
  }
  return sum;
}

/// sum |w - w^|^norm in units of the scale, or some larger number than `limit`.
double clip_error(std::span<const float> weights, const Grid& grid, double norm, double limit) {
  const auto count = static_cast<int64_t>(weights.size());
  double sum = 0;
  for (int64_t first = 0; first < count && sum <= limit; first += kChunk)
    sum += norm == 2 ? squared_error(weights.data() + first, std::min(kChunk, count - first), grid)
                     : kernels().clip_error(weights.data() + first, std::min(kChunk, count - first),
                                            grid.inverse, grid.low, grid.high);
  return sum;
}

}  // namespace

Grid weight_grid(std::span<const float> weights, const WeightSpec& spec) {
  const Range range = range_of(weights);
  Grid best = make_grid(range, spec.bits, spec.symmetric, 1.0f);
  if (!spec.mse_clip) return best;
  double best_error = HUGE_VAL;
  for (int i = 0; i < kClipCandidates; ++i) {
    const auto clip = static_cast<float>(1 - i / 100.0);
    const Grid grid = make_grid(range, spec.bits, spec.symmetric, clip);
    const double unit = std::pow(static_cast<double>(grid.scale), spec.clip_norm);
    const double error = unit * clip_error(weights, grid, spec.clip_norm, best_error / unit);
    if (error < best_error) {
      best_error = error;
      best = grid;
    }
  }
  return best;
}

Grid weight_grid(std::span<const float> weights, const WeightSpec& spec, RowClips clips,
                 int64_t row) {
  if (clips.empty()) return weight_grid(weights, spec);
  Range range = range_of(weights);
  range.low *= clips[static_cast<size_t>(2 * row)];
  range.high *= clips[static_cast<size_t>(2 * row + 1)];
  return make_grid(range, spec.bits, spec.symmetric, 1.0f);
}

void fake_quantize_weight(FloatView weight, const WeightSpec& spec, RowClips clips) {
  if (spec.bits >= 16) return;
  parallel_ranges(weight.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for_each_scale_group(weight.cols, spec.group, 0, [&](int64_t first, int64_t count) {
        const std::span<float> group(weight.row(row) + first, static_cast<size_t>(count));
        snap_to_grid(group, weight_grid(group, spec, clips, row));
      });
    }
  });
}

double weight_bits_per_element(const WeightSpec& spec, int64_t out_dim, int64_t in_dim) {
  if (spec.bits >= 16 || out_dim < 1 || in_dim < 1) return 16;
  const double per_scale = spec.symmetric ? 16 : 16 + 8;
  const auto scales = static_cast<double>(scale_group_count(in_dim, spec.group, 0));
  const double branch = 16.0 * spec.rank * static_cast<double>(out_dim + in_dim) /
                        (static_cast<double>(out_dim) * static_cast<double>(in_dim));
  return spec.bits + scales * per_scale / static_cast<double>(in_dim) + branch;
}

}  // namespace stamp
