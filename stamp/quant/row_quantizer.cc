#include "stamp/quant/row_quantizer.h"

#include <cmath>

#include "stamp/core/dtype.h"

namespace stamp {
namespace {

constexpr float kSmallestScale = 0x1p-24f;  // the smallest positive fp16 value
constexpr float kLargestScale = 65504.0f;

float fp16_scale(float scale) {
  if (!(scale > kSmallestScale)) return kSmallestScale;
  return round_to_f16(std::min(scale, kLargestScale));
}

}  // namespace

Range range_of(std::span<const float> values) {
  float low = 0, high = 0;
  const float* data = values.data();
  const auto count = static_cast<int64_t>(values.size());
#pragma omp simd reduction(min : low) reduction(max : high)
  for (int64_t i = 0; i < count; ++i) {
    low = data[i] < low ? data[i] : low;
    high = data[i] > high ? data[i] : high;
  }
  return {low, high};
}

Grid make_grid(Range range, int bits, bool symmetric, float clip) {
  if (symmetric) {
    const auto top = static_cast<float>((1 << (bits - 1)) - 1);
    return {fp16_scale(clip * std::max(-range.low, range.high) / top), -top - 1, top};
  }
  const auto top = static_cast<float>((1 << bits) - 1);
  const float low = clip * range.low, high = clip * range.high;
  const float scale = fp16_scale((high - low) / top);
  const float zero = std::nearbyint(std::min(-low / scale, top));
  return {scale, -zero, top - zero};
}

void snap_to_grid(std::span<float> values, const Grid& grid) {
  float* data = values.data();
  const auto count = static_cast<int64_t>(values.size());
  const Grid local = grid;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) data[i] = grid_code(data[i], local) * local.scale;
}

int64_t scale_group_count(int64_t cols, int64_t group, int64_t block) {
  int64_t count = 0;
  for_each_scale_group(cols, group, block, [&](int64_t, int64_t) { ++count; });
  return count;
}

void fake_quantize_row(std::span<float> row, int bits, const QuantizerSpec& spec, int64_t group) {
  if (bits >= 16) return;
  if (bits == 0) {
    std::fill(row.begin(), row.end(), 0.0f);
    return;
  }
  for_each_scale_group(
      static_cast<int64_t>(row.size()), group, spec.block, [&](int64_t first, int64_t count) {
        const auto part = row.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
        snap_to_grid(
            part, make_grid(range_of(part), bits, spec.symmetric, static_cast<float>(spec.clip)));
      });
}

double row_range2(std::span<const float> row, const QuantizerSpec& spec, int64_t group) {
  double sum = 0;
  int64_t groups = 0;
  for_each_scale_group(
      static_cast<int64_t>(row.size()), group, spec.block, [&](int64_t first, int64_t count) {
        const auto part = row.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
        const double width = range_of(part).width(spec.symmetric);
        sum += width * width;
        ++groups;
      });
  return groups == 0 ? 0 : sum / static_cast<double>(groups);
}

}  // namespace stamp
