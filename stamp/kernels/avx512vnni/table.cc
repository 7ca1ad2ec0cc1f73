#include "stamp/kernels/tables.h"
// The vector type comes first, then the dot product, then what uses them.
// clang-format off
#include "stamp/kernels/simd/int_avx512.h"
#include "stamp/kernels/avx512vnni/dot.h"
#include "stamp/kernels/simd/panel.inl"
#include "stamp/kernels/simd/dot_gemm.inl"
#include "stamp/kernels/simd/peak.inl"
// clang-format on

namespace stamp {

constinit const KernelTable kAvx512VnniKernels = {
    .gemm_s8u8 = gemm_s8u8,
    .gemm_s8u4 = gemm_s8u4,
    .unpack_u4 = unpack_u4,
    .peak_dot_s8u8 = peak_dot_s8u8,
};

}  // namespace stamp
