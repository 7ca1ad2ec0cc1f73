#include "stamp/nn/attention.h"

#include "stamp/core/error.h"
#include "stamp/nn/attention_call.h"

namespace stamp {
namespace {

void check_arguments(const AttentionCall& call) {
  const auto& [q, k, v, position, shape, quantizer, cache, out] = call;
  if (shape.kv_heads < 1 || shape.head_dim < 1 || shape.heads % shape.kv_heads != 0)
    throw_argument("attention: {} heads and {} kv heads of {} do not fit", shape.heads,
                   shape.kv_heads, shape.head_dim);
  const int64_t q_dim = shape.heads * shape.head_dim, kv_dim = shape.kv_heads * shape.head_dim;
  if (q.cols != q_dim || out.cols != q_dim || k.cols != kv_dim || v.cols != kv_dim ||
      cache.kv_dim != kv_dim || k.rows != q.rows || v.rows != q.rows || out.rows != q.rows)
    throw_argument("attention: q [{}, {}], k [{}, {}], v [{}, {}] do not fit {} heads, {} kv heads",
                   q.rows, q.cols, k.rows, k.cols, v.rows, v.cols, shape.heads, shape.kv_heads);
  if (position != cache.tokens)
    throw_argument("attention: expected position {}, the tokens in the cache, got {}", cache.tokens,
                   position);
  if (q.rows > cache.capacity - position)
    throw_argument("attention: the cache holds {} tokens, {} more do not fit into {}", position,
                   q.rows, cache.capacity);
  if (quantizer.attention_bits != 8 && quantizer.attention_bits != 16)
    throw_argument("attention: attention_bits: expected 8 or 16, got {}", quantizer.attention_bits);
}

}  // namespace

void attention(ConstFloatView q, ConstFloatView k, ConstFloatView v, int64_t position,
               const AttentionShape& shape, const KvQuantizer& quantizer, LayerCache& cache,
               FloatView out) {
  const AttentionCall call{q, k, v, position, shape, quantizer, cache, out};
  check_arguments(call);
  if (q.rows == 0) return;
  const KvStorage storage = kv_storage(quantizer, shape.head_dim);
  if (position == 0) cache.make_storage(quantizer, shape.head_dim);
  if (storage == KvStorage::kPacked)
    attention_over_blocks(call);
  else
    attention_over_rows(call);
  cache.tokens = call.end();
}

void attention(ConstFloatView q, ConstFloatView k, ConstFloatView v, TokenRows rows,
               const AttentionShape& shape, const KvQuantizer& quantizer,
               std::span<LayerCache* const> caches, FloatView out) {
  struct Part {
    int64_t first;
    SequenceRows rows;
    LayerCache* cache;
  };
  std::vector<Part> steps, chunks;  // of one token, of several
  size_t sequences = 0;
  rows.for_each(q.rows, [&](int64_t first, const SequenceRows& part) {
    if (sequences == caches.size())
      throw_argument("attention: there are more sequences than the {} caches", caches.size());
    (part.count > 1 ? chunks : steps).push_back({first, part, caches[sequences++]});
  });
  const auto attend = [&](const Part& part) {
    const auto [position, count] = part.rows;
    attention(q.rows_from(part.first, count), k.rows_from(part.first, count),
              v.rows_from(part.first, count), position, shape, quantizer, *part.cache,
              out.rows_from(part.first, count));
  };
  for (const Part& part : chunks) attend(part);
  // Enough steps keep every thread busy with sequences of its own; of few, each takes all threads.
  if (static_cast<int64_t>(steps.size()) >= 2 * threads())
    parallel_for(static_cast<int64_t>(steps.size()),
                 [&](int64_t i) { attend(steps[static_cast<size_t>(i)]); });
  else
    for (const Part& part : steps) attend(part);
}

}  // namespace stamp
