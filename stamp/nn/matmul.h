#pragma once
// Dense products behind Linear and the logits: oneDNN for many rows, gemv kernels for few.
#include "stamp/core/tensor.h"

namespace stamp {

/// Up to so many rows each is computed by itself: the result is that of the row alone.
inline constexpr int64_t kIndependentRows = 8;

/// out[tokens, out_dim] = x[tokens, in_dim] W^T (+ bias, may be empty), fp32 accumulation. W: F32,
/// F16, BF16 or in blocks [out_dim, in_dim]. With `bf16_operands` x is rounded to bf16 and a BF16
/// weight is multiplied as it is (only where the processor has native bf16 products, see
/// has_fast_bf16(); else fp32). Otherwise narrow weights are widened exactly, panel by panel, and
/// blocks decoded. `out` must have the right shape. No aliasing.
void matmul_transposed(ConstFloatView x, const TensorView& weight, std::span<const float> bias,
                       FloatView out, bool bf16_operands);

}  // namespace stamp
