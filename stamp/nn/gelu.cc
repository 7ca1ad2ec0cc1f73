#include "stamp/nn/gelu.h"

#include <cmath>
#include <numbers>

#include "stamp/nn/row_loop.h"

namespace stamp {

void exact_gelu(FloatView x) {
  for_each_row(x.rows, x.cols, [&](int64_t i) {
    for (float& value : x.row_span(i))
      value *= 0.5f * (1.0f + std::erf(value * (std::numbers::sqrt2_v<float> / 2)));
  });
}

void quick_gelu(FloatView x) {
  for_each_row(x.rows, x.cols, [&](int64_t i) {
    for (float& value : x.row_span(i)) value /= 1.0f + std::exp(-1.702f * value);
  });
}

}  // namespace stamp
