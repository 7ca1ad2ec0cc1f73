#pragma once
#include "stamp/kernels/tables.h"

namespace stamp {
namespace {

/// What does not fill a tile, by dot products.
inline void gemm_rest(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
                      int64_t m, int64_t k, const uint8_t* a_limit, int u_limit, int accumulate) {
  kAvx512VnniKernels.gemm_s8u8(a, lda, panel, c, ldc, m, k, a_limit, u_limit, accumulate);
}

}  // namespace
}  // namespace stamp
