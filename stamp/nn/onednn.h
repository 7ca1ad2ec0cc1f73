#pragma once
// Matrix products of oneDNN (convolutions of it: convolution.h).
#include "stamp/core/tensor.h"

namespace stamp {

/// A matrix [rows, cols] of F32 or BF16 elements, rows `stride` elements apart.
struct DenseOperand {
  DType dtype = DType::kF32;
  const void* data = nullptr;
  int64_t rows = 0, cols = 0, stride = 0;
};

/// out[m, n] = x[m, k] weight[n, k]^T + bias[n] (bias may be null), accumulated in fp32; x and
/// weight have the same type. Sizes are at least 1. Runs on all threads; oneDNN is limited to the
/// active instruction set.
void onednn_matmul_transposed(const DenseOperand& x, const DenseOperand& weight, const float* bias,
                              FloatView out);

}  // namespace stamp
