#pragma once
// What transforms and quantizers need of eight-lane vectors besides vec_avx2.h
// and int_avx2.h.
#include "stamp/kernels/simd/int_avx2.h"
#include "stamp/kernels/simd/vec_avx2.h"

namespace stamp {
namespace {

constexpr int kWalshVectors = 8;  // 16 registers hold these and the temporaries

/// Butterflies between lanes at distance H: a + b where the lane's bit is clear, a - b elsewhere (a
/// fused product with 1 or -1 rounds once, as a sum does).
template <int H>
inline Vec walsh_lanes(Vec x) {
  Vec other;
  if constexpr (H == 1)
    other = _mm256_permute_ps(x, 0xb1);
  else if constexpr (H == 2)
    other = _mm256_permute_ps(x, 0x4e);
  else
    other = _mm256_permute2f128_ps(x, x, 1);
  constexpr int kMinus = H == 1 ? 0xaa : H == 2 ? 0xcc : 0xf0;
  return fma(x, _mm256_blend_ps(broadcast(1.0f), broadcast(-1.0f), kMinus), other);
}
inline Vec walsh_vector(Vec x) { return walsh_lanes<4>(walsh_lanes<2>(walsh_lanes<1>(x))); }

inline IntVec broadcast_int(int32_t x) { return _mm256_set1_epi32(x); }
/// The 32 numbers, each within a byte.
inline void store_s8(int8_t* p, IntVec a, IntVec b, IntVec c, IntVec d) {
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permutevar8x32_epi32(bytes, order));
}
/// Past the caches; p is aligned to the vector.
inline void stream(float* p, Vec x) { _mm256_stream_ps(p, x); }

inline void finish_streams() { _mm_sfence(); }

}  // namespace
}  // namespace stamp
