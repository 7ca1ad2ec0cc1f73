#include "stamp/kernels/tables.h"
// The tile operations and gemm_rest() come before what uses them.
// clang-format off
#include "stamp/kernels/amx/tiles.h"
#include "stamp/kernels/amx/rest.h"
#include "stamp/kernels/amx/gemm.h"
// clang-format on

namespace stamp {

// Few rows over nibbles are bound by memory: gemm_s8u4 stays with AVX-512 VNNI.
constinit const KernelTable kAmxKernels = {
    .gemm_s8u8 = gemm_s8u8,
    .peak_dot_s8u8 = peak_dot_s8u8,
};

}  // namespace stamp
