#include "stamp/nn/linear_attention.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/activations.h"

namespace stamp {
namespace {

constexpr int64_t kTokens = 256;  // transposed at a time

/// [head_dim, head_dim + 1]: sum_m relu(k_m) [v_m, 1]^T of one head.
Matrix summary(ConstFloatView k, ConstFloatView v) {
  const int64_t d = k.cols;
  Matrix sums = Matrix::zeros(d, d + 1), keys(d, kTokens), values(kTokens, d + 1);
  for (int64_t first = 0; first < k.rows; first += kTokens) {
    const int64_t count = std::min(kTokens, k.rows - first);
    kernels().transpose_f32(k.row(first), k.stride, keys.data(), kTokens, count, d);
    for (int64_t i = 0; i < count; ++i) {
      std::copy_n(v.row(first + i), d, values.row(i));
      values(i, d) = 1.0f;
    }
    kernels().gemm_f32(keys.data(), kTokens, values.data(), d + 1, sums.data(), d + 1, d, d + 1,
                       count, 1);
  }
  return sums;
}

void attend(ConstFloatView q, const Matrix& sums, float eps, FloatView out) {
  const int64_t d = q.cols;
  Matrix products(kTokens, d + 1);
  for (int64_t first = 0; first < q.rows; first += kTokens) {
    const int64_t count = std::min(kTokens, q.rows - first);
    kernels().gemm_f32(q.row(first), q.stride, sums.data(), d + 1, products.data(), d + 1, count,
                       d + 1, d, 0);
    for (int64_t i = 0; i < count; ++i) {
      const float inverse = 1.0f / (products(i, d) + eps);
      for (int64_t j = 0; j < d; ++j) out(first + i, j) = products(i, j) * inverse;
    }
  }
}

}  // namespace

void linear_attention_head(ConstFloatView q, ConstFloatView k, ConstFloatView v, double eps,
                           FloatView out) {
  attend(q, summary(k, v), static_cast<float>(eps), out);
}

void relu_linear_attention(FloatView q, FloatView k, ConstFloatView v, int64_t head_dim, double eps,
                           FloatView out) {
  const auto fits = [&](ConstFloatView x) { return x.rows == q.rows && x.cols == q.cols; };
  if (head_dim < 1 || q.cols % head_dim != 0 || !fits(k) || !fits(v) || !fits(out))
    throw_argument(
        "linear attention: q [{}, {}], k [{}, {}], v [{}, {}] and heads of {} do not fit", q.rows,
        q.cols, k.rows, k.cols, v.rows, v.cols, head_dim);
  relu(q);
  relu(k);
  parallel_for(q.cols / head_dim, [&](int64_t head) {
    const int64_t first = head * head_dim;
    const auto part = [&](auto x) { return x.cols_from(first, head_dim); };
    linear_attention_head(part(q), part(k), part(v), eps, part(out));
  });
}

}  // namespace stamp
