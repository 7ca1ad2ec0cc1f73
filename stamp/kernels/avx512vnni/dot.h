#pragma once
#include <immintrin.h>

namespace stamp {
namespace {

/// sum + four products of unsigned and signed bytes, per 32-bit lane; wraps, never saturates.
inline Int dot(Int sum, Int u, Int s) { return _mm512_dpbusd_epi32(sum, u, s); }

}  // namespace
}  // namespace stamp
