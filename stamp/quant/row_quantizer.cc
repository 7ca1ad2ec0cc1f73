#include "stamp/quant/row_quantizer.h"

#include <cmath>

#include "stamp/core/dtype.h"
#include "stamp/kernels/kernels.h"

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
  Range range;
  kernels().min_max(values.data(), static_cast<int64_t>(values.size()), &range.low, &range.high);
  return range;
}

Grid make_grid(Range range, int bits, bool symmetric, float clip) {
  if (symmetric) {
    const auto top = static_cast<float>((1 << (bits - 1)) - 1);
    const float scale = fp16_scale(clip * std::max(-range.low, range.high) / top);
    return {scale, -top - 1, top, 1 / scale};
  }
  const auto top = static_cast<float>((1 << bits) - 1);
  const float low = clip * range.low, high = clip * range.high;
  const float scale = fp16_scale((high - low) / top);
  const float zero = std::nearbyint(std::min(-low / scale, top));
  return {scale, -zero, top - zero, 1 / scale};
}

Grid make_grid(Range range, int bits, const QuantizerSpec& spec) {
  if (bits <= 4) range = {range.low * spec.low_share, range.high * spec.high_share};
  return make_grid(range, bits, spec.symmetric, bits <= 4 ? static_cast<float>(spec.clip) : 1.0f);
}

void snap_to_grid(std::span<float> values, const Grid& grid) {
  kernels().snap_to_grid(values.data(), static_cast<int64_t>(values.size()), grid.scale,
                         grid.inverse, grid.low, grid.high);
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
        snap_to_grid(part, make_grid(range_of(part), bits, spec));
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
