#pragma once
// Vectors of sixteen floats; see vec_avx2.h.
#include <immintrin.h>

#include <cstdint>

namespace stamp {
namespace {

using Vec = __m512;
using IntVec = __m512i;
constexpr int64_t kWidth = 16;
constexpr int kGemmVectors = 4;  // 6 x 4 accumulators, 4 of B and 1 of A: 29 of 32 registers

inline __mmask16 first_lanes(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }

inline Vec zero() { return _mm512_setzero_ps(); }
inline Vec broadcast(float x) { return _mm512_set1_ps(x); }
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
/// n < kWidth elements, zeros after them.
inline Vec load(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
inline void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
inline void store(float* p, Vec x, int64_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), x); }
/// The first n lanes of a, then those of b.
inline Vec select(int64_t n, Vec a, Vec b) { return _mm512_mask_blend_ps(first_lanes(n), b, a); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
/// The larger; b where either is NaN.
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
/// True when a lane of a is greater than that of b.
inline bool any_greater(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
/// x where y >= limit or y is NaN, else 0.
inline Vec zero_below(Vec x, Vec y, Vec limit) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, limit, _CMP_NLT_UQ), x);
}
inline IntVec round_to_int(Vec x) { return _mm512_cvtps_epi32(x); }
inline IntVec truncate_to_int(Vec x) { return _mm512_cvttps_epi32(x); }
inline IntVec as_int(Vec x) { return _mm512_castps_si512(x); }
inline Vec as_float(IntVec x) { return _mm512_castsi512_ps(x); }
inline Vec to_float(IntVec x) { return _mm512_cvtepi32_ps(x); }
/// 2^x for -126 <= x <= 127.
inline Vec power_of_two(IntVec x) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(x, _mm512_set1_epi32(127)), 23));
}

inline __m256 sum_halves(Vec x) {
  return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
}
inline float sum(Vec x) { return _mm512_reduce_add_ps(x); }
inline float largest(Vec x) { return _mm512_reduce_max_ps(x); }
/// y[0..3] = sums of a, b, c, d.
inline void store_sums(float* y, Vec a, Vec b, Vec c, Vec d) {
  const __m256 ab = _mm256_hadd_ps(sum_halves(a), sum_halves(b));
  const __m256 cd = _mm256_hadd_ps(sum_halves(c), sum_halves(d));
  const __m256 all = _mm256_hadd_ps(ab, cd);
  _mm_storeu_ps(y, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}

inline Vec widen_bf16(const uint16_t* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
inline Vec widen_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
/// Round to nearest even; NaN keeps its upper bits and becomes quiet.
inline void narrow_bf16(uint16_t* p, Vec x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  const __m512i high = _mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(high));
}

}  // namespace
}  // namespace stamp
