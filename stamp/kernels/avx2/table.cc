#include "stamp/kernels/tables.h"
// The vector types come first, then the loaders.
// clang-format off
#include "stamp/kernels/simd/vec_avx2.h"
#include "stamp/kernels/scalar/kv_attention.h"
#include "stamp/kernels/simd/int_avx2.h"
#include "stamp/kernels/simd/lanes_avx2.h"
#include "stamp/kernels/simd/loaders.inl"
#include "stamp/kernels/avx2/transpose.h"
#include "stamp/kernels/simd/clip_error.inl"
#include "stamp/kernels/simd/elementwise.inl"
#include "stamp/kernels/simd/running_softmax.inl"
#include "stamp/kernels/simd/softmax_columns.inl"
#include "stamp/kernels/simd/gemm.inl"
#include "stamp/kernels/simd/gemv.inl"
#include "stamp/kernels/simd/panel.inl"
#include "stamp/kernels/simd/pair_gemm.inl"
#include "stamp/kernels/simd/peak.inl"
#include "stamp/kernels/simd/peak_f32.inl"
#include "stamp/kernels/simd/transform.inl"
#include "stamp/kernels/simd/walsh.inl"
#include "stamp/kernels/simd/quantize.inl"
#include "stamp/kernels/simd/decode.inl"
// clang-format on

namespace stamp {

constinit const KernelTable kAvx2Kernels = {
    .gemm_f32 = gemm_f32,
    .gemv_f32 = gemv<LoadF32>,
    .gemv_bf16 = gemv<Load16<widen_bf16>>,
    .gemv_f16 = gemv<Load16<widen_f16>>,
    .transpose_f32 = transpose_f32,
    .to_bf16 = to_bf16,
    .from_bf16 = widen<Load16<widen_bf16>>,
    .from_f16 = widen<Load16<widen_f16>>,
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
