#include "stamp/nn/attention_softmax.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr float kNothing = -std::numeric_limits<float>::infinity();

}  // namespace

Matrix stack_queries(ConstFloatView q, const QueryTile& tile, int64_t position, int64_t head_dim) {
  Matrix stacked(tile.rows(), head_dim);
  for (int64_t r = 0; r < stacked.rows(); ++r) {
    const int64_t head = tile.head + r / tile.count;
    std::copy_n(q.row(tile.first - position + r % tile.count) + head * head_dim, head_dim,
                stacked.row(r));
  }
  return stacked;
}

RunningSoftmax::RunningSoftmax(int64_t rows, int64_t head_dim)
    : out(Matrix::zeros(rows, head_dim)),
      peak(static_cast<size_t>(rows), kNothing),
      sum(static_cast<size_t>(rows), 0.0f) {}

void RunningSoftmax::shrink(int64_t r, float factor) {
  float* y = out.row(r);
  for (int64_t j = 0; j < out.cols(); ++j) y[j] *= factor;
}

void RunningSoftmax::update(int64_t r, float* scores, int64_t visible, int64_t count, float scale) {
  const KernelTable& kernel = kernels();
  const auto i = static_cast<size_t>(r);
  const float larger = std::max(peak[i], kernel.max_f32(scores, visible));
  if (larger > peak[i]) {
    const float factor = std::exp(scale * (peak[i] - larger));
    shrink(r, factor);
    sum[i] *= factor;
    peak[i] = larger;
  }
  sum[i] += kernel.exp_scaled(scores, visible, scale, scale * peak[i]);
  std::fill(scores + visible, scores + count, 0.0f);
}

void RunningSoftmax::update_rows(int64_t first, int64_t count, float* scores, float scale) {
  constexpr int64_t kRows = 32;
  float factors[kRows];
  for (int64_t done = 0; done < count; done += kRows) {
    const int64_t rows = std::min(kRows, count - done), r = first + done;
    kernels().running_softmax(scores + done * kKeyTile, peak.data() + r, sum.data() + r, factors,
                              scale, rows);
    for (int64_t i = 0; i < rows; ++i)
      if (factors[i] != 1.0f) shrink(r + i, factors[i]);
  }
}

void RunningSoftmax::merge(const RunningSoftmax& other, float scale) {
  for (int64_t r = 0; r < out.rows(); ++r) {
    const auto i = static_cast<size_t>(r);
    if (other.peak[i] == kNothing) continue;
    const float larger = std::max(peak[i], other.peak[i]);
    const float mine = std::exp(scale * (peak[i] - larger));
    const float theirs = std::exp(scale * (other.peak[i] - larger));
    float* y = out.row(r);
    const float* x = other.out.row(r);
    for (int64_t j = 0; j < out.cols(); ++j) y[j] = y[j] * mine + x[j] * theirs;
    sum[i] = sum[i] * mine + other.sum[i] * theirs;
    peak[i] = larger;
  }
}

void RunningSoftmax::write(const QueryTile& tile, int64_t position, FloatView y) const {
  const int64_t dim = out.cols();
  for (int64_t r = 0; r < out.rows(); ++r) {
    const int64_t head = tile.head + r / tile.count;
    float* row = y.row(tile.first - position + r % tile.count) + head * dim;
    const float* x = out.row(r);
    const float factor = 1.0f / sum[static_cast<size_t>(r)];
    for (int64_t j = 0; j < dim; ++j) row[j] = x[j] * factor;
  }
}

RowScratch::RowScratch(int64_t rows, int64_t head_dim)
    : scores(rows, kKeyTile), keys(rows > kFewRows ? head_dim : 0, kKeyTile) {}

namespace {

/// scores[r, 0 .. k.rows) = q k^T.
void score_rows(ConstFloatView q, ConstFloatView k, RowScratch& scratch) {
  const KernelTable& kernel = kernels();
  if (q.rows <= kFewRows) {
    for (int64_t r = 0; r < q.rows; ++r)
      kernel.gemv_f32(q.row(r), k.data, k.stride, scratch.scores.row(r), k.rows, k.cols);
    return;
  }
  kernel.transpose_f32(k.data, k.stride, scratch.keys.data(), kKeyTile, k.rows, k.cols);
  kernel.gemm_f32(q.data, q.stride, scratch.keys.data(), kKeyTile, scratch.scores.data(), kKeyTile,
                  q.rows, k.rows, k.cols, 0);
}

}  // namespace

void attend_rows(ConstFloatView q, int64_t first, const QueryTile& tile, const KeyTile& keys,
                 float scale, RowScratch& scratch, RunningSoftmax& softmax) {
  const int64_t count = keys.k.rows;
  score_rows(q, keys.k, scratch);
  for (int64_t r = 0; r < q.rows; ++r) {
    const int64_t visible = tile.first + r % tile.count + 1 - keys.first;
    softmax.update(first + r, scratch.scores.row(r), std::min(count, visible), count, scale);
  }
  kernels().gemm_f32(scratch.scores.data(), kKeyTile, keys.v.data, keys.v.stride,
                     softmax.out.row(first), q.cols, q.rows, q.cols, count, 1);
}

}  // namespace stamp
