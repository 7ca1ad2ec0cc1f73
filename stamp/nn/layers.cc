#include "stamp/nn/layers.h"

#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/row_loop.h"

namespace stamp {
namespace {

void check_same_shape(const char* where, ConstFloatView x, ConstFloatView y) {
  if (x.rows != y.rows || x.cols != y.cols)
    throw_argument("{}: shapes [{}, {}] and [{}, {}] differ", where, x.rows, x.cols, y.rows,
                   y.cols);
}

}  // namespace

void rms_norm_rows(ConstFloatView x, std::span<const float> weight, double eps, FloatView out) {
  check_same_shape("rms norm", x, out);
  if (static_cast<int64_t>(weight.size()) != x.cols)
    throw_argument("rms norm: expected {} weights, got {}", x.cols, weight.size());
  for_each_row(x.rows, x.cols, [&](int64_t i) {
    kernels().rms_norm(x.row(i), weight.data(), static_cast<float>(eps), out.row(i), x.cols);
  });
}

void silu_multiply(FloatView gate, ConstFloatView up) {
  check_same_shape("silu", gate, up);
  for_each_row(gate.rows, gate.cols, [&](int64_t i) {
    kernels().silu_mul(gate.row(i), up.row(i), gate.row(i), gate.cols);
  });
}

void add_rows(FloatView x, ConstFloatView y) {
  check_same_shape("add", x, y);
  for_each_row(x.rows, x.cols, [&](int64_t i) {
    for (int64_t j = 0; j < x.cols; ++j) x(i, j) += y(i, j);
  });
}

void rotate_heads(FloatView x, int64_t head_dim, const HadamardPlan& plan) {
  if (head_dim < 1 || x.cols % head_dim != 0 || x.stride != x.cols)
    throw_argument("rotation: x [{}, {}] is not made of heads of {}", x.rows, x.cols, head_dim);
  if (plan.order == 1) return;
  apply_hadamard({x.data, x.rows * (x.cols / head_dim), head_dim, head_dim}, plan);
}

}  // namespace stamp
