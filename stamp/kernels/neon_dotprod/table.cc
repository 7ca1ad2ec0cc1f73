#include "stamp/kernels/tables.h"
// The vector type comes first, then the dot product, then what uses them.
// clang-format off
#include "stamp/kernels/simd/int_neon.h"
#include "stamp/kernels/neon_dotprod/dot.h"
#include "stamp/kernels/simd/panel.inl"
#include "stamp/kernels/simd/dot_gemm.inl"
#include "stamp/kernels/neon/signed_gemm.inl"
#include "stamp/kernels/simd/peak.inl"
// clang-format on

namespace stamp {

constinit const KernelTable kNeonDotprodKernels = {
    .gemm_s8u8 = signed_gemm_s8u8,
    .gemm_s8u4 = signed_gemm_s8u4,
    .unpack_u4 = unpack_u4,
    .peak_dot_s8u8 = peak_dot_s8u8,
};

}  // namespace stamp
