#include "stamp/nn/activations.h"

#include <cmath>
#include <numbers>

#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/row_loop.h"

namespace stamp {

void relu(FloatView x) {
  for_each_row(x.rows, x.cols, [&](int64_t i) {
    for (float& value : x.row_span(i)) value = value > 0 ? value : 0.0f;
  });
}

void silu(FloatView x) {
  const std::vector<float> ones(static_cast<size_t>(x.cols), 1.0f);
  for_each_row(x.rows, x.cols,
               [&](int64_t i) { kernels().silu_mul(x.row(i), ones.data(), x.row(i), x.cols); });
}

void gelu(FloatView x) {
  for_each_row(x.rows, x.cols,
               [&](int64_t i) { kernels().gelu_mul(x.row(i), nullptr, x.row(i), x.cols); });
}

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

void gelu_multiply(FloatView gate, ConstFloatView up) {
  if (gate.rows != up.rows || gate.cols != up.cols)
    throw_argument("gelu: shapes [{}, {}] and [{}, {}] differ", gate.rows, gate.cols, up.rows,
                   up.cols);
  for_each_row(gate.rows, gate.cols, [&](int64_t i) {
    kernels().gelu_mul(gate.row(i), up.row(i), gate.row(i), gate.cols);
  });
}

}  // namespace stamp
