#pragma once
// Causal grouped-query attention, flash style: tiles with a running softmax, never a full score
// matrix.
#include "stamp/nn/kv_cache.h"
#include "stamp/quant/token_rows.h"

namespace stamp {

struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
};

/// out[tokens, heads * head_dim] = softmax(q k^T / sqrt(head_dim)) v for the queries of one chunk
/// that starts at absolute token `position` = tokens already in the cache. Appends the chunk's k
/// and v (after RoPE, in the rotated basis; [tokens, kv_heads * head_dim]) to `cache`, quantizing
/// every block that closes. A query reads its own block unquantized and earlier blocks as stored;
/// with block 0 the chunk is one block and all its queries read it quantized. Query head h uses kv
/// head h / (heads / kv_heads). Runs on all threads; no aliasing. Throws std::invalid_argument when
/// the cache is full or shapes do not fit.
void attention(ConstFloatView q, ConstFloatView k, ConstFloatView v, int64_t position,
               const AttentionShape& shape, const KvQuantizer& quantizer, LayerCache& cache,
               FloatView out);

/// The same for the sequences of `rows`, each with its own cache. What a sequence gets does not
/// depend on the others. No cache may occur twice.
void attention(ConstFloatView q, ConstFloatView k, ConstFloatView v, TokenRows rows,
               const AttentionShape& shape, const KvQuantizer& quantizer,
               std::span<LayerCache* const> caches, FloatView out);

}  // namespace stamp
