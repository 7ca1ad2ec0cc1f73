#pragma once
#include <arm_neon.h>

namespace stamp {
namespace {

/// sum + four products of (u - 128) and s, per 32-bit lane. A product needs 15 bits and the sign,
/// so two of them do not fit 16 bits and are added in 32.
inline Int dot(Int sum, Int u, Int s) {
  const int8x16_t x = veorq_s8(vreinterpretq_s8_s32(u), vdupq_n_s8(-128));
  const int8x16_t y = vreinterpretq_s8_s32(s);
  const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(y)));
  const int32x4_t high = vpaddlq_s16(vmull_high_s8(x, y));
  return vaddq_s32(sum, vpaddq_s32(low, high));
}

/// The same; the optimizer can neither merge equal products nor hoist them.
inline void peak_step(Int& sum, Int u, Int s) {
  __asm__ volatile("" : "+w"(u));
  sum = dot(sum, u, s);
}

}  // namespace
}  // namespace stamp
