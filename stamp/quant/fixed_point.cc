#include "stamp/quant/fixed_point.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/parallel.h"
#include "stamp/quant/row_quantizer.h"

namespace stamp {
namespace {

constexpr int64_t kElementsPerTask = 1 << 15;
constexpr float kTop = 127.0f * 65536.0f;
constexpr float kSmallest = 1e-30f;  // below this a row counts as zero: its inverse stays finite

void encode_row(std::span<const float> row, int8_t* planes, int64_t stride, float& scale) {
  const Range range = range_of(row);
  const float largest = std::min(std::max(-range.low, range.high), 3e38f);
  scale = std::max(largest, kSmallest) / kTop;
  const float inverse = 1 / scale;
  const auto count = static_cast<int64_t>(row.size());
  const float* x = row.data();
  int8_t *high = planes, *middle = planes + stride, *low = planes + 2 * stride;
  for (int64_t i = 0; i < count; ++i) {
    float value = x[i] * inverse;
    value = value > -kTop ? value : (std::isnan(value) ? 0.0f : -kTop);
    value = value < kTop ? value : kTop;
    const auto code = static_cast<int32_t>(std::nearbyint(value));
    // Signed digits: the byte that is cut off carries into the next one.
    const auto digit0 = static_cast<int8_t>(code & 0xff);
    const int32_t rest = (code - digit0) >> 8;
    const auto digit1 = static_cast<int8_t>(rest & 0xff);
    low[i] = digit0;
    middle[i] = digit1;
    high[i] = static_cast<int8_t>((rest - digit1) >> 8);
  }
}

}  // namespace

void encode_fixed_point(ConstFloatView x, FixedPointCodes& out) {
  constexpr int64_t kPlanes = FixedPointCodes::kPlanes;
  const int64_t stride = (x.cols + 63) / 64 * 64 + 64;
  out.tokens = x.rows;
  out.cols = x.cols;
  out.stride = stride;
  out.bytes.assign(static_cast<size_t>(x.rows * kPlanes * stride), 0);
  out.scale.resize(static_cast<size_t>(x.rows));
  parallel_ranges(x.rows, std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, x.cols)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t t = begin; t < end; ++t)
                      encode_row(x.row_span(t), out.bytes.data() + t * kPlanes * stride, stride,
                                 out.scale[static_cast<size_t>(t)]);
                  });
}

}  // namespace stamp
