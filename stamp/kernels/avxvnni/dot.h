#pragma once
#include <immintrin.h>

namespace stamp {
namespace {

/// sum + four products of unsigned and signed bytes, per 32-bit lane; wraps, never saturates.
inline Int dot(Int sum, Int u, Int s) { return _mm256_dpbusd_avx_epi32(sum, u, s); }

/// The same, out of the optimizer's reach.
inline void peak_step(Int& sum, Int u, Int s) {
  __asm__ volatile("%{vex%} vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(u), "v"(s));
}

}  // namespace
}  // namespace stamp
