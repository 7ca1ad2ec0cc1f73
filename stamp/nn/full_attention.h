#pragma once
// Attention over whole sequences, without a cache: encoders, image tokens, text conditions. Flash
// style: tiles with a running softmax, never a full score matrix.
#include <span>

#include "stamp/core/tensor.h"

namespace stamp {

struct FullAttention {
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  float scale = 1.0f;
  float soft_cap = 0.0f;            // scores become cap tanh(s / cap); 0: they do not
  std::span<const float> key_bias;  // added to the scores of each key; empty: nothing
  ConstFloatView relative_bias;     // [heads, q.rows + k.rows - 1]: entry key - query + q.rows - 1
  bool causal = false;              // keys after the query are not seen
  bool eight_bits = false;          // integer products of 8-bit operands (integer_attention.h)
  int64_t window = 0;               // causal: only the last so many keys are seen; 0: all
};

/// out = softmax(cap(scale q k^T) + biases) v, head by head; q, out [q.rows, heads * head_dim]; k,
/// v [k.rows, kv_heads * head_dim]. Query head h uses kv head h / (heads / kv_heads). A query whose
/// keys all have biases of -1e9 or less sees them as if these were equal. Runs on all threads; no
/// aliasing. Throws std::invalid_argument when shapes do not fit, there are no keys, or eight_bits
/// comes with biases, a cap or causality.
void full_attention(ConstFloatView q, ConstFloatView k, ConstFloatView v,
                    const FullAttention& options, FloatView out);

}  // namespace stamp
