#pragma once
// Vectors of four floats; see vec_avx2.h.
#include <arm_neon.h>

#include <cstdint>

namespace stamp {
namespace {

using Vec = float32x4_t;
using IntVec = int32x4_t;
constexpr int64_t kWidth = 4;
constexpr int kGemmVectors = 4;  // 6 x 4 accumulators, 4 of B and 1 of A: 29 of 32 registers

/// The first n lanes all ones.
inline uint32x4_t first_lanes(int64_t n) {
  constexpr int32_t kLanes[] = {0, 1, 2, 3};
  return vcgtq_s32(vdupq_n_s32(static_cast<int32_t>(n)), vld1q_s32(kLanes));
}

inline Vec zero() { return vdupq_n_f32(0); }
inline Vec broadcast(float x) { return vdupq_n_f32(x); }
inline Vec load(const float* p) { return vld1q_f32(p); }
/// n < kWidth elements, zeros after them.
inline Vec load(const float* p, int64_t n) {
  float buffer[kWidth] = {};
  for (int64_t i = 0; i < n; ++i) buffer[i] = p[i];
  return load(buffer);
}
inline void store(float* p, Vec x) { vst1q_f32(p, x); }
inline void store(float* p, Vec x, int64_t n) {
  float buffer[kWidth];
  store(buffer, x);
  for (int64_t i = 0; i < n; ++i) p[i] = buffer[i];
}
/// The first n lanes of a, then those of b.
inline Vec select(int64_t n, Vec a, Vec b) { return vbslq_f32(first_lanes(n), a, b); }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
/// The larger; b where either is NaN (vmaxq would give NaN).
inline Vec max(Vec a, Vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
inline Vec min(Vec a, Vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
/// x where y >= limit or y is NaN, else 0.
inline Vec zero_below(Vec x, Vec y, Vec limit) {
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(x), vcltq_f32(y, limit)));
}
inline IntVec round_to_int(Vec x) { return vcvtnq_s32_f32(x); }
inline IntVec truncate_to_int(Vec x) { return vcvtq_s32_f32(x); }
inline IntVec as_int(Vec x) { return vreinterpretq_s32_f32(x); }
inline Vec as_float(IntVec x) { return vreinterpretq_f32_s32(x); }
inline Vec to_float(IntVec x) { return vcvtq_f32_s32(x); }
/// 2^x for -126 <= x <= 127.
inline Vec power_of_two(IntVec x) {
  return as_float(vshlq_n_s32(vaddq_s32(x, vdupq_n_s32(127)), 23));
}

inline float sum(Vec x) { return vaddvq_f32(x); }
inline float largest(Vec x) { return vmaxvq_f32(x); }
/// y[0..3] = sums of a, b, c, d.
inline void store_sums(float* y, Vec a, Vec b, Vec c, Vec d) {
  store(y, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}

inline Vec widen_bf16(const uint16_t* p) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
inline Vec widen_f16(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
/// Round to nearest even; NaN keeps its upper bits and becomes quiet.
inline void narrow_bf16(uint16_t* p, Vec x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  vst1_u16(p, vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16));
}

}  // namespace
}  // namespace stamp
