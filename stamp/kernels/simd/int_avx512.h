#pragma once
// Integer vectors of sixteen 32-bit lanes; see int_avx2.h.
#include <immintrin.h>

#include <cstdint>

namespace stamp {
namespace {

using Int = __m512i;
constexpr int64_t kIntLanes = 16;
constexpr int kIntRegisters = 32;

inline Int zero_int() { return _mm512_setzero_si512(); }
inline Int load_int(const void* p) { return _mm512_loadu_si512(p); }
inline void store_int(void* p, Int x) { _mm512_storeu_si512(p, x); }
inline Int broadcast_4(const int8_t* p) {
  int32_t bytes;
  __builtin_memcpy(&bytes, p, 4);
  return _mm512_set1_epi32(bytes);
}
inline Int low_nibbles(Int x) { return _mm512_and_si512(x, _mm512_set1_epi8(15)); }
inline Int high_nibbles(Int x) { return low_nibbles(_mm512_srli_epi16(x, 4)); }
inline Int add_16(Int x, Int y) { return _mm512_add_epi16(x, y); }
inline Int add_32(Int x, Int y) { return _mm512_add_epi32(x, y); }
inline Int upper_half(Int x) { return _mm512_slli_epi32(x, 16); }
inline Int multiply_pairs_8(Int u, Int s) { return _mm512_maddubs_epi16(u, s); }
inline Int multiply_pairs_16(Int x, Int y) { return _mm512_madd_epi16(x, y); }
inline Int ones_16() { return _mm512_set1_epi16(1); }
inline Int even_unsigned(Int x) { return _mm512_and_si512(x, _mm512_set1_epi16(255)); }
inline Int odd_unsigned(Int x) { return _mm512_srli_epi16(x, 8); }
inline Int even_signed(Int x) { return _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8); }
inline Int odd_signed(Int x) { return _mm512_srai_epi16(x, 8); }

}  // namespace
}  // namespace stamp
