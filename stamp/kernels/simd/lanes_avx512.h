#pragma once
// What transforms and quantizers need of sixteen-lane vectors besides vec_avx512.h
// and int_avx512.h.
#include "stamp/kernels/simd/int_avx512.h"
#include "stamp/kernels/simd/vec_avx512.h"

namespace stamp {
namespace {

constexpr int kWalshVectors = 16;  // 32 registers hold these and the temporaries

/// Butterflies between lanes at distance H: a + b where the lane's bit is clear, a - b elsewhere (a
/// fused product with 1 or -1 rounds once, as a sum does).
template <int H>
inline Vec walsh_lanes(Vec x) {
  constexpr __mmask16 kMinus = H == 1 ? 0xaaaa : H == 2 ? 0xcccc : H == 4 ? 0xf0f0 : 0xff00;
  const Vec signs = _mm512_mask_mov_ps(broadcast(1.0f), kMinus, broadcast(-1.0f));
  Vec other;
  if constexpr (H == 1)
    other = _mm512_permute_ps(x, 0xb1);
  else if constexpr (H == 2)
    other = _mm512_permute_ps(x, 0x4e);
  else
    other = _mm512_shuffle_f32x4(x, x, H == 4 ? 0xb1 : 0x4e);
  return fma(x, signs, other);
}
inline Vec walsh_vector(Vec x) {
  return walsh_lanes<8>(walsh_lanes<4>(walsh_lanes<2>(walsh_lanes<1>(x))));
}

inline IntVec broadcast_int(int32_t x) { return _mm512_set1_epi32(x); }
/// The 64 numbers, each within a byte.
inline void store_s8(int8_t* p, IntVec a, IntVec b, IntVec c, IntVec d) {
  const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  _mm512_storeu_si512(p, _mm512_permutexvar_epi32(order, bytes));
}
/// Past the caches; p is aligned to the vector.
inline void stream(float* p, Vec x) { _mm512_stream_ps(p, x); }

inline void finish_streams() { _mm_sfence(); }

}  // namespace
}  // namespace stamp
