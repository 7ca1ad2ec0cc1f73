#include "stamp/nn/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr int64_t kTile = 64;            // tokens of a query tile and of a key tile
constexpr int64_t kFewRows = 8;          // up to here dot products beat transposing the keys
constexpr int64_t kSmallWork = 1 << 15;  // multiply-adds below which other threads are not woken

/// Keys and values from absolute token `first` on.
struct KeyRange {
  ConstFloatView k, v;
  int64_t first = 0;
};

/// What the queries of one call read: stored rows, and the unquantized rows of blocks that close in
/// this call.
struct KeySource {
  KeyRange stored;  // the cache, chunk included
  KeyRange chunk;   // as passed
  KeyRange opened;  // the block that was open before the chunk, unquantized; empty unless it closes
  int64_t block = 0;  // 0: queries read stored rows only

  /// Start of the block that `token` reads unquantized.
  int64_t own_block(int64_t token) const {
    return block == 0 ? std::numeric_limits<int64_t>::max() : token / block * block;
  }
  /// Where the queries of block `own` find the key tile that starts at `token`.
  const KeyRange& find(int64_t token, int64_t own) const {
    const bool closed = block > 0 && own + block <= chunk.first + chunk.k.rows;
    if (token < own || !closed) return stored;
    return own < chunk.first ? opened : chunk;
  }
};

/// Running softmax of the stacked queries of one kv head: row h * tokens + i is query i of its h-th
/// head.
struct Accumulator {
  Matrix q, scores, keys, out;
  std::vector<float> peak, sum;

  Accumulator(int64_t rows, int64_t head_dim)
      : q(rows, head_dim),
        scores(rows, kTile),
        keys(rows > kFewRows ? head_dim : 0, kTile),
        out(Matrix::zeros(rows, head_dim)),
        peak(static_cast<size_t>(rows), -std::numeric_limits<float>::infinity()),
        sum(static_cast<size_t>(rows), 0.0f) {}
};

/// scores[:, 0 .. count) = q k^T.
void score(Accumulator& acc, const float* k, int64_t stride, int64_t count) {
  const KernelTable& kernel = kernels();
  const int64_t rows = acc.q.rows(), dim = acc.q.cols();
  if (rows <= kFewRows) {
    for (int64_t r = 0; r < rows; ++r)
      kernel.gemv_f32(acc.q.row(r), k, stride, acc.scores.row(r), count, dim);
    return;
  }
  kernel.transpose_f32(k, stride, acc.keys.data(), kTile, count, dim);
  kernel.gemm_f32(acc.q.data(), dim, acc.keys.data(), kTile, acc.scores.data(), kTile, rows, count,
                  dim, 0);
}

/// Turns the scores of row r into exp(scale * (s - peak)), rescaling what was summed under an older
/// peak. Columns from `visible` to `count` lie in the future.
void update_softmax(Accumulator& acc, int64_t r, int64_t visible, int64_t count, float scale) {
  const KernelTable& kernel = kernels();
  float* scores = acc.scores.row(r);
  float &peak = acc.peak[static_cast<size_t>(r)], &sum = acc.sum[static_cast<size_t>(r)];
  const float larger = std::max(peak, kernel.max_f32(scores, visible));
  if (larger > peak) {
    const float shrink = std::exp(scale * (peak - larger));
    float* out = acc.out.row(r);
    for (int64_t j = 0; j < acc.out.cols(); ++j) out[j] *= shrink;
    sum *= shrink;
    peak = larger;
  }
  sum += kernel.exp_scaled(scores, visible, scale, scale * peak);
  std::fill(scores + visible, scores + count, 0.0f);
}

/// The query tokens [first, first + count) of kv head `group`.
struct QueryTile {
  int64_t group, first, count;
};

void stack_queries(ConstFloatView q, const QueryTile& tile, int64_t position, Accumulator& acc) {
  const int64_t dim = acc.q.cols(), heads = acc.q.rows() / tile.count;
  for (int64_t r = 0; r < acc.q.rows(); ++r) {
    const int64_t head = tile.group * heads + r / tile.count;
    std::copy_n(q.row(tile.first - position + r % tile.count) + head * dim, dim, acc.q.row(r));
  }
}

void write_outputs(const Accumulator& acc, const QueryTile& tile, int64_t position, FloatView out) {
  const int64_t dim = acc.q.cols(), heads = acc.q.rows() / tile.count;
  for (int64_t r = 0; r < acc.q.rows(); ++r) {
    const int64_t head = tile.group * heads + r / tile.count;
    float* y = out.row(tile.first - position + r % tile.count) + head * dim;
    const float factor = 1.0f / acc.sum[static_cast<size_t>(r)];
    for (int64_t j = 0; j < dim; ++j) y[j] = acc.out(r, j) * factor;
  }
}

/// All keys up to the last query of the tile, `step` tokens at a time.
void attend(ConstFloatView q, const QueryTile& tile, int64_t step, const KeySource& source,
            const AttentionShape& shape, FloatView out) {
  const int64_t dim = shape.head_dim, column = tile.group * dim;
  const int64_t end = tile.first + tile.count, own = source.own_block(tile.first);
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  Accumulator acc(shape.heads / shape.kv_heads * tile.count, dim);
  stack_queries(q, tile, source.chunk.first, acc);
  for (int64_t token = 0; token < end; token += step) {
    const KeyRange& keys = source.find(token, own);
    const int64_t count = std::min(step, end - token), row = token - keys.first;
    score(acc, keys.k.row(row) + column, keys.k.stride, count);
    for (int64_t r = 0; r < acc.q.rows(); ++r)
      update_softmax(acc, r, std::min(count, tile.first + r % tile.count + 1 - token), count,
                     scale);
    kernels().gemm_f32(acc.scores.data(), kTile, keys.v.row(row) + column, keys.v.stride,
                       acc.out.data(), dim, acc.q.rows(), dim, count, 1);
  }
  write_outputs(acc, tile, source.chunk.first, out);
}

void append(ConstFloatView rows, int64_t position, Matrix& cache) {
  for (int64_t i = 0; i < rows.rows; ++i)
    std::copy_n(rows.row(i), rows.cols, cache.row(position + i));
}

/// Quantizes the cache rows of every block that ends in (position, end].
void close_blocks(const KvQuantizer& quantizer, int64_t position, int64_t end, int64_t head_dim,
                  LayerCache& cache) {
  const int64_t block = quantizer.block;
  parallel_for(end / block - position / block, [&](int64_t i) {
    const int64_t first = (position / block + i) * block;
    quantizer.k.apply(cache.k.view().rows_from(first, block), first, head_dim);
    quantizer.v.apply(cache.v.view().rows_from(first, block), first, head_dim);
  });
}

void check_arguments(ConstFloatView q, ConstFloatView k, ConstFloatView v, int64_t position,
                     const AttentionShape& shape, const LayerCache& cache, FloatView out) {
  if (shape.kv_heads < 1 || shape.head_dim < 1 || shape.heads % shape.kv_heads != 0)
    throw_argument("attention: {} heads and {} kv heads of {} do not fit", shape.heads,
                   shape.kv_heads, shape.head_dim);
  const int64_t q_dim = shape.heads * shape.head_dim, kv_dim = shape.kv_heads * shape.head_dim;
  if (q.cols != q_dim || out.cols != q_dim || k.cols != kv_dim || v.cols != kv_dim ||
      cache.k.cols() != kv_dim || k.rows != q.rows || v.rows != q.rows || out.rows != q.rows)
    throw_argument("attention: q [{}, {}], k [{}, {}], v [{}, {}] do not fit {} heads, {} kv heads",
                   q.rows, q.cols, k.rows, k.cols, v.rows, v.cols, shape.heads, shape.kv_heads);
  if (position < 0 || q.rows > cache.k.rows() - position)
    throw_argument("attention: the cache holds {} tokens, {} more do not fit into {}", position,
                   q.rows, cache.k.rows());
}

}  // namespace

void attention(ConstFloatView q, ConstFloatView k, ConstFloatView v, int64_t position,
               const AttentionShape& shape, const KvQuantizer& quantizer, LayerCache& cache,
               FloatView out) {
  check_arguments(q, k, v, position, shape, cache, out);
  const int64_t end = position + q.rows, block = quantizer.active() ? quantizer.block : 0;
  append(k, position, cache.k);
  append(v, position, cache.v);

  KeySource source{{cache.k.view(), cache.v.view(), 0}, {k, v, position}, {}, block};
  Matrix opened_k, opened_v;
  if (block > 0) {
    const int64_t open = position / block * block;
    if (open < position && open + block <= end) {
      opened_k = Matrix::copy_of(cache.k.view().rows_from(open, block));
      opened_v = Matrix::copy_of(cache.v.view().rows_from(open, block));
      source.opened = {opened_k.view(), opened_v.view(), open};
    }
    close_blocks(quantizer, position, end, shape.head_dim, cache);
  } else {
    quantizer.k.apply(cache.k.view().rows_from(position, q.rows), position, shape.head_dim);
    quantizer.v.apply(cache.v.view().rows_from(position, q.rows), position, shape.head_dim);
  }

  // Tiles are aligned to absolute positions, so that a query tile lies in one block, and the
  // longest come first.
  const int64_t step = block > 0 ? std::gcd(block, kTile) : kTile;
  const int64_t first_tile = position / step, tiles = (end + step - 1) / step - first_tile;
  const auto attend_tile = [&](int64_t i) {
    const int64_t tile = first_tile + tiles - 1 - i / shape.kv_heads;
    const int64_t first = std::max(position, tile * step);
    attend(q, {i % shape.kv_heads, first, std::min(end, (tile + 1) * step) - first}, step, source,
           shape, out);
  };
  const int64_t items = tiles * shape.kv_heads;
  if (q.rows * q.cols * end < kSmallWork)
    for (int64_t i = 0; i < items; ++i) attend_tile(i);
  else
    parallel_for(items, attend_tile);
}

}  // namespace stamp
