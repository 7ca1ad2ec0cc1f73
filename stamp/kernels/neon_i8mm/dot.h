#pragma once
#include <arm_neon.h>

namespace stamp {
namespace {

/// sum + four products of unsigned and signed bytes, per 32-bit lane.
inline Int dot(Int sum, Int u, Int s) {
  return vusdotq_s32(sum, vreinterpretq_u8_s32(u), vreinterpretq_s8_s32(s));
}

/// The same, out of the optimizer's reach.
inline void peak_step(Int& sum, Int u, Int s) {
  __asm__ volatile("usdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(u), "w"(s));
}

}  // namespace
}  // namespace stamp
