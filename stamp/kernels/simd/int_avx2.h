#pragma once
// Integer vectors of eight 32-bit lanes. Internal linkage, as everything compiled per instruction
// set.
#include <immintrin.h>

#include <cstdint>

namespace stamp {
namespace {

using Int = __m256i;
constexpr int64_t kIntLanes = 8;
constexpr int kIntRegisters = 16;

inline Int zero_int() { return _mm256_setzero_si256(); }
inline Int load_int(const void* p) { return _mm256_loadu_si256(static_cast<const Int*>(p)); }
inline void store_int(void* p, Int x) { _mm256_storeu_si256(static_cast<Int*>(p), x); }
/// Four neighbouring bytes in every lane.
inline Int broadcast_4(const int8_t* p) {
  int32_t bytes;
  __builtin_memcpy(&bytes, p, 4);
  return _mm256_set1_epi32(bytes);
}
inline Int low_nibbles(Int x) { return _mm256_and_si256(x, _mm256_set1_epi8(15)); }
inline Int high_nibbles(Int x) { return low_nibbles(_mm256_srli_epi16(x, 4)); }
inline Int add_16(Int x, Int y) { return _mm256_add_epi16(x, y); }
inline Int add_32(Int x, Int y) { return _mm256_add_epi32(x, y); }
/// The lower half of each lane, moved up.
inline Int upper_half(Int x) { return _mm256_slli_epi32(x, 16); }
/// Sums of two neighbouring products of unsigned and signed bytes, saturated to 16 bits.
inline Int multiply_pairs_8(Int u, Int s) { return _mm256_maddubs_epi16(u, s); }
/// Sums of two neighbouring products of 16-bit lanes, in 32 bits.
inline Int multiply_pairs_16(Int x, Int y) { return _mm256_madd_epi16(x, y); }
inline Int ones_16() { return _mm256_set1_epi16(1); }
/// The even or odd bytes, widened to 16-bit lanes.
inline Int even_unsigned(Int x) { return _mm256_and_si256(x, _mm256_set1_epi16(255)); }
inline Int odd_unsigned(Int x) { return _mm256_srli_epi16(x, 8); }
inline Int even_signed(Int x) { return _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8); }
inline Int odd_signed(Int x) { return _mm256_srai_epi16(x, 8); }

}  // namespace
}  // namespace stamp
