#pragma once
// One call of attention() for its two ways through: over fp32 rows and over packed blocks.
#include <algorithm>
#include <cmath>

#include "stamp/core/parallel.h"
#include "stamp/nn/attention.h"
#include "stamp/nn/attention_softmax.h"

namespace stamp {

struct AttentionCall {
  ConstFloatView q, k, v;
  int64_t position;
  const AttentionShape& shape;
  const KvQuantizer& quantizer;
  LayerCache& cache;
  FloatView out;

  int64_t end() const { return position + q.rows; }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(shape.head_dim)); }
  int64_t heads_per_kv() const { return shape.heads / shape.kv_heads; }
  /// The tokens [first, end) in all query heads of kv heads [kv_head, kv_head + kv_heads).
  QueryTile tile(int64_t kv_head, int64_t kv_heads, int64_t first, int64_t end) const {
    return {kv_head * heads_per_kv(), kv_heads * heads_per_kv(), first, end - first};
  }
};

/// Plain and simulated caches.
void attention_over_rows(const AttentionCall& call);
/// Packed caches.
void attention_over_blocks(const AttentionCall& call);

/// body(i) for i < items, on all threads unless the call is too small to wake them.
template <class Body>
void for_each_item(const AttentionCall& call, int64_t items, Body&& body) {
  constexpr int64_t kSmallWork = 1 << 15;  // multiply-adds
  if (call.q.rows * call.q.cols * call.end() < kSmallWork)
    for (int64_t i = 0; i < items; ++i) body(i);
  else
    parallel_for(items, body);
}

/// Copies rows into a cache from row `first` on.
inline void append_rows(ConstFloatView rows, int64_t first, Matrix& cache) {
  for (int64_t i = 0; i < rows.rows; ++i) std::copy_n(rows.row(i), rows.cols, cache.row(first + i));
}

}  // namespace stamp
