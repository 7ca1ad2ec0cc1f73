#include "stamp/quant/weight_quant.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "stamp/core/parallel.h"
#include "stamp/quant/row_quantizer.h"

namespace stamp {
namespace {

constexpr int kClipCandidates = 80;  // 1.00, 0.99, ..., 0.21

/// One Newton step towards the fifth root of x.
inline float closer_fifth_root(float root, float x) {
  const float square = root * root;
  return 0.8f * root + 0.2f * x / (square * square);
}

/// |u|^2.4 for |u| < 2^60, relative error below 1e-6 (at u = 0 it only comes close to 0): u^2 times
/// the fifth root of u^2, first guessed by dividing the exponent by five. Branch-free, so that
/// loops over it vectorize.
inline float power_2_4(float u) {
  constexpr float kBias = 0.8f * 0x3f800000;
  const float square = u * u;
  const auto bits = static_cast<float>(std::bit_cast<int32_t>(square));
  const float guess = std::bit_cast<float>(static_cast<int32_t>(bits * 0.2f + kBias));
  const float better = closer_fifth_root(closer_fifth_root(guess, square), square);
  return square * closer_fifth_root(better, square);
}

/// sum |w - w^|^2.4 in units of the scale.
float clip_error(std::span<const float> weights, const Grid& grid) {
  const float* data = weights.data();
  const auto count = static_cast<int64_t>(weights.size());
  const Grid local = grid;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    sum += power_2_4(data[i] / local.scale - grid_code(data[i], local));
  }
  return sum;
}

Grid best_grid(std::span<const float> weights, const WeightSpec& spec) {
  const Range range = range_of(weights);
  Grid best = make_grid(range, spec.bits, spec.symmetric, 1.0f);
  if (!spec.mse_clip) return best;
  double best_error = HUGE_VAL;
  for (int i = 0; i < kClipCandidates; ++i) {
    const auto clip = static_cast<float>(1 - i / 100.0);
    const Grid grid = make_grid(range, spec.bits, spec.symmetric, clip);
    const double error = clip_error(weights, grid) * std::pow(static_cast<double>(grid.scale), 2.4);
    if (error < best_error) {
      best_error = error;
      best = grid;
    }
  }
  return best;
}

}  // namespace

void fake_quantize_weight(FloatView weight, const WeightSpec& spec) {
  if (spec.bits >= 16) return;
  parallel_ranges(weight.rows, 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for_each_scale_group(weight.cols, spec.group, 0, [&](int64_t first, int64_t count) {
        const std::span<float> group(weight.row(row) + first, static_cast<size_t>(count));
        snap_to_grid(group, best_grid(group, spec));
      });
    }
  });
}

double weight_bits_per_element(const WeightSpec& spec, int64_t out_dim, int64_t in_dim) {
  if (spec.bits >= 16 || out_dim < 1 || in_dim < 1) return 16;
  const double per_scale = spec.symmetric ? 16 : 16 + 8;
  const auto scales = static_cast<double>(scale_group_count(in_dim, spec.group, 0));
  return spec.bits + scales * per_scale / static_cast<double>(in_dim);
}

}  // namespace stamp
