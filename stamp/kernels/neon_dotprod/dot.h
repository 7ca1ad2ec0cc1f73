#pragma once
#include <arm_neon.h>

namespace stamp {
namespace {

/// sum + four products of (u - 128) and s, per 32-bit lane.
inline Int dot(Int sum, Int u, Int s) {
  const int8x16_t x = veorq_s8(vreinterpretq_s8_s32(u), vdupq_n_s8(-128));
  return vdotq_s32(sum, x, vreinterpretq_s8_s32(s));
}

/// One dot product, out of the optimizer's reach.
inline void peak_step(Int& sum, Int u, Int s) {
  __asm__ volatile("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(u), "w"(s));
}

}  // namespace
}  // namespace stamp
