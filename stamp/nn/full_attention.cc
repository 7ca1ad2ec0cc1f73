#include "stamp/nn/full_attention.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/attention_softmax.h"
#include "stamp/nn/integer_attention.h"

namespace stamp {
namespace {

constexpr int64_t kQueries = 64, kKeys = 512;  // of a tile: its scores stay in L2

void check_shapes(ConstFloatView q, ConstFloatView k, ConstFloatView v, const FullAttention& o,
                  ConstFloatView out) {
  if (o.heads < 1 || o.kv_heads < 1 || o.head_dim < 1 || o.heads % o.kv_heads != 0)
    throw_argument("attention: {} heads and {} kv heads of {} do not fit", o.heads, o.kv_heads,
                   o.head_dim);
  const int64_t q_dim = o.heads * o.head_dim, kv_dim = o.kv_heads * o.head_dim;
  if (q.cols != q_dim || out.cols != q_dim || out.rows != q.rows || k.cols != kv_dim ||
      v.cols != kv_dim || v.rows != k.rows || k.rows < 1)
    throw_argument("attention: q [{}, {}], k [{}, {}], v [{}, {}] do not fit {} heads, {} kv heads",
                   q.rows, q.cols, k.rows, k.cols, v.rows, v.cols, o.heads, o.kv_heads);
  const bool biased = o.relative_bias.data != nullptr;
  if ((!o.key_bias.empty() && static_cast<int64_t>(o.key_bias.size()) != k.rows) ||
      (biased && (o.relative_bias.rows != o.heads || o.relative_bias.cols != q.rows + k.rows - 1)))
    throw_argument("attention: biases do not fit {} queries and {} keys", q.rows, k.rows);
  if (o.eight_bits && (o.soft_cap > 0 || !o.key_bias.empty() || biased || o.causal))
    throw_argument("attention: 8-bit operands go without biases, cap and causality");
}

/// Keys of each kv head, transposed tile by tile: head, tile, [head_dim, kKeys].
class KeyTiles {
 public:
  KeyTiles(ConstFloatView k, const FullAttention& o)
      : tiles_((k.rows + kKeys - 1) / kKeys),
        stride_(o.head_dim * kKeys),
        data_(o.kv_heads * tiles_, stride_) {
    parallel_for(o.kv_heads * tiles_, [&](int64_t i) {
      const int64_t head = i / tiles_, first = i % tiles_ * kKeys;
      const int64_t count = std::min(kKeys, k.rows - first);
      kernels().transpose_f32(k.row(first) + head * o.head_dim, k.stride, data_.row(i), kKeys,
                              count, o.head_dim);
    });
  }
  const float* tile(int64_t head, int64_t index) const { return data_.row(head * tiles_ + index); }
  int64_t tiles() const { return tiles_; }

 private:
  int64_t tiles_, stride_;
  Matrix data_;
};

/// Queries [first, first + count) of one head.
struct Work {
  ConstFloatView q, v;
  const KeyTiles& keys;
  const FullAttention& o;
  FloatView out;
  int64_t head, first, count;

  int64_t kv_head() const { return head / (o.heads / o.kv_heads); }
  /// Range of keys that query i of this work sees.
  int64_t first_key(int64_t i) const {
    return o.causal && o.window > 0 ? std::max<int64_t>(0, first + i + 1 - o.window) : 0;
  }
  int64_t end_key(int64_t i) const { return o.causal ? std::min(v.rows, first + i + 1) : v.rows; }
};

/// Scales, caps and biases the scores of one query with keys [begin, begin + count).
void finish_scores(const Work& work, int64_t query, int64_t begin, int64_t count, float* scores) {
  const FullAttention& o = work.o;
  for (int64_t j = 0; j < count; ++j) scores[j] *= o.scale;
  if (o.soft_cap > 0)
    for (int64_t j = 0; j < count; ++j) scores[j] = o.soft_cap * std::tanh(scores[j] / o.soft_cap);
  if (o.relative_bias.data != nullptr) {
    const float* bias = o.relative_bias.row(work.head) + begin - query + work.q.rows - 1;
    for (int64_t j = 0; j < count; ++j) scores[j] += bias[j];
  }
  if (!o.key_bias.empty())
    for (int64_t j = 0; j < count; ++j) scores[j] += o.key_bias[static_cast<size_t>(begin + j)];
}

void attend_tile(const Work& work, int64_t tile, Matrix& scores, RunningSoftmax& softmax) {
  const int64_t d = work.o.head_dim, begin = tile * kKeys;
  const int64_t count = std::min(kKeys, work.v.rows - begin);
  kernels().gemm_f32(work.q.row(work.first) + work.head * d, work.q.stride,
                     work.keys.tile(work.kv_head(), tile), kKeys, scores.data(), kKeys, work.count,
                     count, d, 0);
  for (int64_t i = 0; i < work.count; ++i) {
    float* row = scores.row(i);
    const int64_t low = std::clamp<int64_t>(work.first_key(i) - begin, 0, count);
    const int64_t high = std::clamp<int64_t>(work.end_key(i) - begin, low, count);
    std::fill(row, row + low, 0.0f);
    std::fill(row + high, row + count, 0.0f);
    if (low == high) continue;
    finish_scores(work, work.first + i, begin + low, high - low, row + low);
    softmax.update(i, row + low, high - low, high - low, 1.0f);
  }
  kernels().gemm_f32(scores.data(), kKeys, work.v.row(begin) + work.kv_head() * d, work.v.stride,
                     softmax.out.data(), d, work.count, d, count, 1);
}

void attend(const Work& work) {
  Matrix scores(work.count, kKeys);
  RunningSoftmax softmax(work.count, work.o.head_dim);
  for (int64_t tile = 0; tile < work.keys.tiles(); ++tile) {
    const bool visible =
        tile * kKeys < work.end_key(work.count - 1) && (tile + 1) * kKeys > work.first_key(0);
    if (visible) attend_tile(work, tile, scores, softmax);
  }
  softmax.write({work.head, 1, work.first, work.count}, 0, work.out);
}

}  // namespace

void full_attention(ConstFloatView q, ConstFloatView k, ConstFloatView v,
                    const FullAttention& options, FloatView out) {
  check_shapes(q, k, v, options, out);
  if (options.eight_bits) return integer_attention(q, k, v, options, out);
  const KeyTiles keys(k, options);
  const int64_t tiles = (q.rows + kQueries - 1) / kQueries;
  parallel_for(options.heads * tiles, [&](int64_t i) {
    const int64_t first = i % tiles * kQueries;
    attend({q, v, keys, options, out, i / tiles, first, std::min(kQueries, q.rows - first)});
  });
}

}  // namespace stamp
