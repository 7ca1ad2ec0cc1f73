#pragma once
// Vectors of eight floats. Everything has internal linkage: the same inline function compiled with
// two instruction sets would otherwise be merged by the linker.
#include <immintrin.h>

#include <cstdint>

namespace stamp {
namespace {

using Vec = __m256;
using IntVec = __m256i;
constexpr int64_t kWidth = 8;
constexpr int kGemmVectors = 2;  // 6 x 2 accumulators, 2 of B and 1 of A: 15 of 16 registers

/// The first n lanes all ones.
inline __m256i first_lanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline Vec zero() { return _mm256_setzero_ps(); }
inline Vec broadcast(float x) { return _mm256_set1_ps(x); }
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
/// n < kWidth elements, zeros after them.
inline Vec load(const float* p, int64_t n) { return _mm256_maskload_ps(p, first_lanes(n)); }
inline void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
inline void store(float* p, Vec x, int64_t n) { _mm256_maskstore_ps(p, first_lanes(n), x); }
/// The first n lanes of a, then those of b.
inline Vec select(int64_t n, Vec a, Vec b) {
  return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(first_lanes(n)));
}
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
/// The larger; b where either is NaN.
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
/// True when a lane of a is greater than that of b.
inline bool any_greater(Vec a, Vec b) {
  return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0;
}
/// x where y >= limit or y is NaN, else 0.
inline Vec zero_below(Vec x, Vec y, Vec limit) {
  return _mm256_and_ps(x, _mm256_cmp_ps(y, limit, _CMP_NLT_UQ));
}
inline IntVec round_to_int(Vec x) { return _mm256_cvtps_epi32(x); }
inline IntVec truncate_to_int(Vec x) { return _mm256_cvttps_epi32(x); }
inline IntVec as_int(Vec x) { return _mm256_castps_si256(x); }
inline Vec as_float(IntVec x) { return _mm256_castsi256_ps(x); }
inline Vec to_float(IntVec x) { return _mm256_cvtepi32_ps(x); }
/// 2^x for -126 <= x <= 127.
inline Vec power_of_two(IntVec x) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(x, _mm256_set1_epi32(127)), 23));
}

inline __m128 sum_halves(Vec x) {
  return _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
}
inline float sum(Vec x) {
  const __m128 a = sum_halves(x);
  const __m128 b = _mm_add_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
inline float largest(Vec x) {
  const __m128 a = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 b = _mm_max_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}
/// y[0..3] = sums of a, b, c, d.
inline void store_sums(float* y, Vec a, Vec b, Vec c, Vec d) {
  const __m256 ab = _mm256_hadd_ps(a, b), cd = _mm256_hadd_ps(c, d);
  _mm_storeu_ps(y, sum_halves(_mm256_hadd_ps(ab, cd)));
}

inline Vec widen_bf16(const uint16_t* p) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline Vec widen_f16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
/// Round to nearest even; NaN keeps its upper bits and becomes quiet.
inline void narrow_bf16(uint16_t* p, Vec x) {
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  const __m128i packed =
      _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
}

}  // namespace
}  // namespace stamp
