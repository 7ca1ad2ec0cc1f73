#pragma once
// Attention without softmax: the kernel trick of linear transformers with relu features (SANA,
// EfficientViT). Linear in the number of tokens.
#include "stamp/core/tensor.h"

namespace stamp {

/// out_n = (sum_m v_m k_m^T) q_n / (sum_m k_m . q_n + eps) of one head, all [tokens, head_dim]; q
/// and k are not negative. Runs on the calling thread; out may alias none.
void linear_attention_head(ConstFloatView q, ConstFloatView k, ConstFloatView v, double eps,
                           FloatView out);
/// out_n = (sum_m v_m relu(k_m)^T) relu(q_n) / (sum_m relu(k_m) . relu(q_n) + eps), head by head;
/// all are [tokens, heads * head_dim]. q and k are replaced by their relu. Runs on all threads; out
/// may alias none. Throws std::invalid_argument when shapes differ or do not make heads.
void relu_linear_attention(FloatView q, FloatView k, ConstFloatView v, int64_t head_dim, double eps,
                           FloatView out);

}  // namespace stamp
