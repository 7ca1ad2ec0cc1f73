#pragma once
// The small steps between linears and attention. Each runs on all threads.
#include <span>

#include "stamp/core/tensor.h"
#include "stamp/quant/feature_transform.h"

namespace stamp {

/// out[i] = x[i] / sqrt(mean(x[i]^2) + eps) * weight, row by row; out may be x.
void rms_norm_rows(ConstFloatView x, std::span<const float> weight, double eps, FloatView out);
/// gate = silu(gate) * up.
void silu_multiply(FloatView gate, ConstFloatView up);
/// x += y.
void add_rows(FloatView x, ConstFloatView y);
/// Applies the Hadamard plan to each head of x [tokens, heads * head_dim] (contiguous rows); order
/// 1 changes nothing.
void rotate_heads(FloatView x, int64_t head_dim, const HadamardPlan& plan);

}  // namespace stamp
