#include "stamp/nn/matmul.h"

#include <algorithm>

#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/nn/onednn.h"
#include "stamp/nn/row_loop.h"
#include "stamp/nn/scratch.h"

namespace stamp {
namespace {

constexpr int64_t kGemvTokens = kIndependentRows;  // reading the weight is the whole cost
constexpr int64_t kGemvRows = 16;     // rows of W that stay in L2 while all tokens use them
constexpr int64_t kPanelRows = 1024;  // rows of a narrow weight that are widened at a time

const void* row_of(const TensorView& weight, int64_t row) {
  const int64_t offset = dtype_bytes(weight.dtype, row * weight.shape[1]);
  return static_cast<const char*>(weight.data) + offset;
}

/// True for types that a kernel reads as they are; the others are decoded to fp32 first.
bool has_gemv(DType dtype) { return dtype_block(dtype) == 1; }

void gemv(const float* x, const TensorView& weight, int64_t first, int64_t rows, float* y) {
  const int64_t k = weight.shape[1];
  const void* w = row_of(weight, first);
  switch (weight.dtype) {
    case DType::kBF16:
      return kernels().gemv_bf16(x, static_cast<const bf16*>(w), k, y, rows, k);
    case DType::kF16:
      return kernels().gemv_f16(x, static_cast<const f16*>(w), k, y, rows, k);
    default:
      return kernels().gemv_f32(x, static_cast<const float*>(w), k, y, rows, k);
  }
}

/// Rows [first, first + rows) of a weight in blocks as fp32, in this thread's scratch memory.
TensorView decoded_rows(const TensorView& weight, int64_t first, int64_t rows) {
  const int64_t k = weight.shape[1];
  float* values = static_cast<float*>(scratch(rows * k * int64_t{sizeof(float)}));
  to_f32(weight, first * k, {values, static_cast<size_t>(rows * k)});
  return {DType::kF32, {rows, k}, values};
}

void multiply_few_tokens(ConstFloatView x, const TensorView& weight, std::span<const float> bias,
                         FloatView out) {
  const int64_t blocks = (out.cols + kGemvRows - 1) / kGemvRows;
  for_each_row(blocks, kGemvRows * x.cols * x.rows, [&](int64_t block) {
    const int64_t first = block * kGemvRows, rows = std::min(kGemvRows, out.cols - first);
    const bool direct = has_gemv(weight.dtype);
    const TensorView decoded = direct ? weight : decoded_rows(weight, first, rows);
    for (int64_t t = 0; t < x.rows; ++t) {
      float* y = out.row(t) + first;
      gemv(x.row(t), decoded, direct ? first : 0, rows, y);
      for (int64_t j = 0; j < rows && !bias.empty(); ++j)
        y[j] += bias[static_cast<size_t>(first + j)];
    }
  });
}

DenseOperand dense(ConstFloatView x) { return {DType::kF32, x.data, x.rows, x.cols, x.stride}; }

/// x rounded to bf16, in this thread's scratch memory.
DenseOperand round_to_bf16(ConstFloatView x) {
  bf16* rounded = static_cast<bf16*>(scratch(x.rows * x.cols * int64_t{sizeof(bf16)}));
  parallel_ranges(x.rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernels().to_bf16(x.row(i), rounded + i * x.cols, x.cols);
  });
  return {DType::kBF16, rounded, x.rows, x.cols, x.cols};
}

/// Rows [first, first + rows) of a weight that is not fp32, as fp32, in this thread's scratch
/// memory.
DenseOperand widen_panel(const TensorView& weight, int64_t first, int64_t rows) {
  const int64_t k = weight.shape[1];
  float* panel = static_cast<float*>(scratch(rows * k * int64_t{sizeof(float)}));
  const auto widen = weight.dtype == DType::kBF16 ? kernels().from_bf16 : kernels().from_f16;
  const bool in_blocks = dtype_block(weight.dtype) > 1;
  for_each_row(rows, k, [&](int64_t i) {
    if (in_blocks) return to_f32(weight, (first + i) * k, {panel + i * k, static_cast<size_t>(k)});
    widen(static_cast<const uint16_t*>(row_of(weight, first + i)), panel + i * k, k);
  });
  return {DType::kF32, panel, rows, k, k};
}

void multiply_many_tokens(ConstFloatView x, const TensorView& weight, const float* bias,
                          FloatView out, bool bf16_operands) {
  const int64_t k = weight.shape[1];
  if (weight.dtype == DType::kF32)
    return onednn_matmul_transposed(dense(x), {DType::kF32, weight.data, out.cols, k, k}, bias,
                                    out);
  if (weight.dtype == DType::kBF16 && bf16_operands && has_fast_bf16())
    return onednn_matmul_transposed(round_to_bf16(x), {DType::kBF16, weight.data, out.cols, k, k},
                                    bias, out);
  for (int64_t first = 0; first < out.cols; first += kPanelRows) {
    const int64_t rows = std::min(kPanelRows, out.cols - first);
    onednn_matmul_transposed(dense(x), widen_panel(weight, first, rows),
                             bias ? bias + first : nullptr, out.cols_from(first, rows));
  }
}

void check_shapes(ConstFloatView x, const TensorView& weight, std::span<const float> bias,
                  FloatView out) {
  if (!is_weight_type(weight.dtype))
    throw_argument("matmul: weights must be F32, F16, BF16 or in blocks, got {}",
                   dtype_name(weight.dtype));
  if (weight.shape.size() != 2 || weight.shape[1] != x.cols || weight.shape[0] != out.cols ||
      out.rows != x.rows)
    throw_argument("matmul: x [{}, {}] and weight {} do not give out [{}, {}]", x.rows, x.cols,
                   to_string(weight.shape), out.rows, out.cols);
  if (!bias.empty() && static_cast<int64_t>(bias.size()) != out.cols)
    throw_argument("matmul: bias has {} elements, expected {}", bias.size(), out.cols);
}

}  // namespace

void matmul_transposed(ConstFloatView x, const TensorView& weight, std::span<const float> bias,
                       FloatView out, bool bf16_operands) {
  check_shapes(x, weight, bias, out);
  if (x.rows == 0 || out.cols == 0) return;
  if (x.rows <= kGemvTokens || x.cols == 0) return multiply_few_tokens(x, weight, bias, out);
  multiply_many_tokens(x, weight, bias.empty() ? nullptr : bias.data(), out, bf16_operands);
}

}  // namespace stamp
