#pragma once
// Integer vectors of four 32-bit lanes; see int_avx2.h.
#include <arm_neon.h>

#include <cstdint>

namespace stamp {
namespace {

using Int = int32x4_t;
constexpr int64_t kIntLanes = 4;
constexpr int kIntRegisters = 32;

inline Int zero_int() { return vdupq_n_s32(0); }
inline Int load_int(const void* p) {
  return vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t*>(p)));
}
inline void store_int(void* p, Int x) {
  vst1q_u8(static_cast<uint8_t*>(p), vreinterpretq_u8_s32(x));
}
/// Four neighbouring bytes in every lane.
inline Int broadcast_4(const int8_t* p) {
  int32_t bytes;
  __builtin_memcpy(&bytes, p, 4);
  return vdupq_n_s32(bytes);
}
inline Int low_nibbles(Int x) {
  return vreinterpretq_s32_u8(vandq_u8(vreinterpretq_u8_s32(x), vdupq_n_u8(15)));
}
inline Int high_nibbles(Int x) {
  return vreinterpretq_s32_u8(vshrq_n_u8(vreinterpretq_u8_s32(x), 4));
}
inline Int add_32(Int x, Int y) { return vaddq_s32(x, y); }
inline Int ones_16() { return vreinterpretq_s32_s16(vdupq_n_s16(1)); }

}  // namespace
}  // namespace stamp
