#pragma once
// What transforms and quantizers need of four-lane vectors besides vec_neon.h and int_neon.h.
#include "stamp/kernels/simd/int_neon.h"
#include "stamp/kernels/simd/vec_neon.h"

namespace stamp {
namespace {

constexpr int kWalshVectors = 16;

/// Butterflies between lanes at distance H: a + b where the lane's bit is clear, a - b elsewhere.
template <int H>
inline Vec walsh_lanes(Vec x) {
  constexpr uint32_t kOdd[] = {0, ~0u, 0, ~0u}, kUpper[] = {0, 0, ~0u, ~0u};
  const Vec other = H == 1 ? vrev64q_f32(x) : vextq_f32(x, x, 2);
  return vbslq_f32(vld1q_u32(H == 1 ? kOdd : kUpper), other - x, other + x);
}
inline Vec walsh_vector(Vec x) { return walsh_lanes<2>(walsh_lanes<1>(x)); }

inline IntVec broadcast_int(int32_t x) { return vdupq_n_s32(x); }
/// The 16 numbers, each within a byte.
inline void store_s8(int8_t* p, IntVec a, IntVec b, IntVec c, IntVec d) {
  const int16x8_t low = vcombine_s16(vmovn_s32(a), vmovn_s32(b));
  const int16x8_t high = vcombine_s16(vmovn_s32(c), vmovn_s32(d));
  vst1q_s8(p, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}
/// There is no store past the caches that intrinsics reach.
inline void stream(float* p, Vec x) { store(p, x); }
inline void finish_streams() {}

}  // namespace
}  // namespace stamp
