// Products and feature maps (ops.h).
#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/pipelines/flatquant/ops.h"

namespace stamp::flatquant {
namespace {

constexpr int64_t kRows = 32;

Matrix transposed(ConstFloatView x) {
  Matrix y(x.cols, x.rows);
  parallel_ranges(x.rows, kRows, [&](int64_t begin, int64_t end) {
    kernels().transpose_f32(x.row(begin), x.stride, y.data() + begin, x.rows, end - begin, x.cols);
  });
  return y;
}

/// Rows of x as rows of `width`, which the right factor multiplies.
ConstFloatView as_rows(const Matrix& x, int64_t width) {
  return {x.data(), x.size() / width, width, width};
}

int64_t left_size(const FeatureMap& map, int64_t cols) {
  return map.left.size() > 0 ? map.left.rows() : cols / std::max<int64_t>(1, map.right.rows());
}

/// Every row A [a, b] of x becomes M A; a = M.rows().
Matrix multiply_left(const Matrix& m, const Matrix& x) {
  Matrix y(x.rows(), x.cols());
  const int64_t a = m.rows(), b = x.cols() / a;
  parallel_ranges(x.rows(), kRows, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      kernels().gemm_f32(m.data(), a, x.row(i), b, y.row(i), b, a, b, a, 0);
  });
  return y;
}

/// sum over rows of A D^T for rows A of x and D of y, both [a, b].
Matrix sum_of_products(const Matrix& x, const Matrix& y, int64_t a) {
  const int64_t b = x.cols() / a, tasks = 4 * threads();
  std::vector<Matrix> sums(static_cast<size_t>(tasks));
  parallel_for(tasks, [&](int64_t task) {
    Matrix& sum = sums[static_cast<size_t>(task)] = Matrix::zeros(a, a);
    Matrix turned(b, a);
    for (int64_t i = x.rows() * task / tasks; i < x.rows() * (task + 1) / tasks; ++i) {
      kernels().transpose_f32(y.row(i), b, turned.data(), a, a, b);
      kernels().gemm_f32(x.row(i), b, turned.data(), a, sum.data(), a, a, a, b, 1);
    }
  });
  for (int64_t task = 1; task < tasks; ++task) add_to(sums[0], sums[static_cast<size_t>(task)]);
  return std::move(sums[0]);
}

}  // namespace

Matrix multiply(ConstFloatView a, bool transpose_a, ConstFloatView b, bool transpose_b) {
  const Matrix turned_a = transpose_a ? transposed(a) : Matrix();
  const Matrix turned_b = transpose_b ? transposed(b) : Matrix();
  if (transpose_a) a = turned_a.view();
  if (transpose_b) b = turned_b.view();
  if (a.cols != b.rows)
    throw_argument("multiply: [{}, {}] and [{}, {}] do not fit", a.rows, a.cols, b.rows, b.cols);
  Matrix c(a.rows, b.cols);
  parallel_ranges(a.rows, kRows, [&](int64_t begin, int64_t end) {
    kernels().gemm_f32(a.row(begin), a.stride, b.data, b.stride, c.row(begin), c.cols(),
                       end - begin, c.cols(), a.cols, 0);
  });
  return c;
}

void add_to(Matrix& sum, const Matrix& x) {
  for (int64_t i = 0; i < sum.size(); ++i) sum.data()[i] += x.data()[i];
}

Matrix inverse_transposed_backward(const Matrix& inverse, const Matrix& gradient) {
  const Matrix product = multiply(inverse.view(), false, gradient.view(), true);
  Matrix result = multiply(product.view(), false, inverse.view(), false);
  for (int64_t i = 0; i < result.size(); ++i) result.data()[i] = -result.data()[i];
  return result;
}

Mapped map_forward(ConstFloatView x, const FeatureMap& map) {
  Mapped state{.scaled = Matrix::copy_of(x), .half = {}, .out = {}};
  for (int64_t i = 0; i < x.rows && !map.scale.empty(); ++i)
    for (int64_t j = 0; j < x.cols; ++j) state.scaled(i, j) *= map.scale[static_cast<size_t>(j)];
  state.half = state.scaled;
  if (map.left.size() > 0) state.half = multiply_left(transposed(map.left.view()), state.scaled);
  state.out = state.half;
  if (map.right.size() == 0) return state;
  const Matrix product =
      multiply(as_rows(state.half, map.right.rows()), false, map.right.view(), false);
  std::copy_n(product.data(), product.size(), state.out.data());
  return state;
}

Matrix map_backward(const Mapped& state, ConstFloatView x, const FeatureMap& map,
                    const Matrix& gradient, FeatureMap& map_gradient) {
  Matrix d = gradient;
  if (map.right.size() > 0) {
    const int64_t b = map.right.rows();
    add_to(map_gradient.right, multiply(as_rows(state.half, b), true, as_rows(gradient, b), false));
    const Matrix product = multiply(as_rows(gradient, b), false, map.right.view(), true);
    std::copy_n(product.data(), product.size(), d.data());
  }
  if (map.left.size() > 0) {
    add_to(map_gradient.left, sum_of_products(state.scaled, d, left_size(map, x.cols)));
    d = multiply_left(map.left, d);
  }
  for (int64_t i = 0; i < x.rows && !map.scale.empty(); ++i)
    for (int64_t j = 0; j < x.cols; ++j) {
      const auto at = static_cast<size_t>(j);
      map_gradient.scale[at] += d(i, j) * x(i, j);
      d(i, j) *= map.scale[at];
    }
  return d;
}

FeatureMap inverse_map(const FeatureMap& map) {
  FeatureMap inverse;
  for (const float value : map.scale) inverse.scale.push_back(1 / value);
  if (map.left.size() > 0) inverse.left = inverse_transposed(map.left);
  if (map.right.size() > 0) inverse.right = inverse_transposed(map.right);
  return inverse;
}

void inverse_map_backward(const FeatureMap& inverse, const FeatureMap& inverse_gradient,
                          FeatureMap& gradient) {
  for (size_t j = 0; j < inverse.scale.size(); ++j)
    gradient.scale[j] -= inverse_gradient.scale[j] * inverse.scale[j] * inverse.scale[j];
  if (inverse.left.size() > 0)
    add_to(gradient.left, inverse_transposed_backward(inverse.left, inverse_gradient.left));
  if (inverse.right.size() > 0)
    add_to(gradient.right, inverse_transposed_backward(inverse.right, inverse_gradient.right));
}

FeatureMap zeros_like(const FeatureMap& map) {
  FeatureMap zeros;
  zeros.scale.resize(map.scale.size());
  zeros.left = Matrix::zeros(map.left.rows(), map.left.cols());
  zeros.right = Matrix::zeros(map.right.rows(), map.right.cols());
  return zeros;
}

}  // namespace stamp::flatquant
