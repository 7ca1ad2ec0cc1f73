// The specification: what every faster kernel must compute, in the plainest loops.
#include <algorithm>
#include <cmath>

#include "stamp/kernels/scalar/clip_error.h"
#include "stamp/kernels/scalar/decode.h"
#include "stamp/kernels/scalar/integer.h"
#include "stamp/kernels/scalar/kv_attention.h"
#include "stamp/kernels/scalar/peak.h"
#include "stamp/kernels/scalar/quantize.h"
#include "stamp/kernels/scalar/running_softmax.h"
#include "stamp/kernels/scalar/transform.h"
#include "stamp/kernels/tables.h"

namespace stamp {
namespace {

void gemm_f32(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
              int64_t m, int64_t n, int64_t k, int accumulate) noexcept {
  for (int64_t i = 0; i < m; ++i) {
    if (!accumulate) std::fill_n(c + i * ldc, n, 0.0f);
    for (int64_t p = 0; p < k; ++p)
      for (int64_t j = 0; j < n; ++j) c[i * ldc + j] += a[i * lda + p] * b[p * ldb + j];
  }
}

float widen_f32(float x) { return x; }

template <class Element, float (*Widen)(Element)>
void gemv(const float* x, const Element* w, int64_t ldw, float* y, int64_t rows,
          int64_t k) noexcept {
  for (int64_t j = 0; j < rows; ++j) {
    float sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += x[i] * Widen(w[j * ldw + i]);
    y[j] = sum;
  }
}

template <float (*Widen)(uint16_t)>
void widen(const uint16_t* x, float* y, int64_t n) noexcept {
  std::transform(x, x + n, y, Widen);
}

void transpose_f32(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows,
                   int64_t cols) noexcept {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) y[j * ldy + i] = x[i * ldx + j];
}

void to_bf16(const float* x, bf16* y, int64_t n) noexcept {
  std::transform(x, x + n, y, f32_to_bf16);
}

float exp_scaled(float* x, int64_t n, float scale, float shift) noexcept {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float t = scale * x[i] - shift;
    x[i] = t < -87.0f ? 0.0f : std::exp(t);
    sum += x[i];
  }
  return sum;
}

float max_f32(const float* x, int64_t n) noexcept { return *std::max_element(x, x + n); }

void silu_mul(const float* gate, const float* up, float* y, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void rms_norm(const float* x, const float* weight, float eps, float* y, int64_t n) noexcept {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  const float mean = static_cast<float>(sum / static_cast<double>(n));
  const float factor = 1.0f / std::sqrt(mean + eps);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * factor * weight[i];
}

void gelu_mul(const float* gate, const float* up, float* y, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) {
    const float x = gate[i];
    const float u = 0.79788456080286536f * (x + 0.044715f * x * x * x);
    y[i] = x / (1.0f + std::exp(-2.0f * u)) * (up ? up[i] : 1.0f);
  }
}

void layer_norm(const float* x, const float* scale, const float* shift, float eps, float* y,
                int64_t n) noexcept {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]);
  const double mean = sum / static_cast<double>(n);
  for (int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const auto variance = static_cast<float>(squares / static_cast<double>(n));
  const float factor = 1.0f / std::sqrt(variance + eps);
  for (int64_t i = 0; i < n; ++i)
    y[i] = (x[i] - static_cast<float>(mean)) * factor * scale[i] + shift[i];
}

}  // namespace

constinit const KernelTable kScalarKernels = {
    .gemm_f32 = gemm_f32,
    .gemv_f32 = gemv<float, widen_f32>,
    .gemv_bf16 = gemv<bf16, bf16_to_f32>,
    .gemv_f16 = gemv<f16, f16_to_f32>,
    .transpose_f32 = transpose_f32,
    .to_bf16 = to_bf16,
    .from_bf16 = widen<bf16_to_f32>,
    .from_f16 = widen<f16_to_f32>,
    .exp_scaled = exp_scaled,
    .max_f32 = max_f32,
    .silu_mul = silu_mul,
    .rms_norm = rms_norm,
    .gelu_mul = gelu_mul,
    .layer_norm = layer_norm,
    .clip_error = clip_error,
    .gemm_s8u8 = gemm_s8u8,
    .gemm_s8u4 = gemm_s8u4,
    .unpack_u4 = unpack_u4,
    .peak_dot_s8u8 = peak_dot_s8u8,
    .peak_fma_f32 = peak_fma_f32,
    .dependent_adds = dependent_adds,
    .haar_lift = haar_lift,
    .haar_unlift = haar_unlift,
    .walsh = walsh,
    .min_max = min_max,
    .quantize_s8 = quantize_s8,
    .snap_to_grid = snap_to_grid,
    .decode_s32 = decode_s32,
    .decode_f32 = decode_f32,
    .add_scaled_s32 = add_scaled_s32,
    .unpack_panel = unpack_panel,
    .kv_scores = kv_scores,
    .kv_weights = kv_weights,
    .split_codes = split_codes,
    .scale_f16 = scale_f16,
    .running_softmax = running_softmax,
    .kv_values = kv_values,
    .softmax_columns = softmax_columns,
    .add_columns = add_columns,
};

}  // namespace stamp
