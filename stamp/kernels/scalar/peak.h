#pragma once
// Plain loops in registers for processors without anything better; see kernels.def.
#include <cstdint>

namespace stamp {
namespace {

template <class T>
int64_t multiply_add_chains(int64_t iterations, T a) {
  constexpr int kChains = 8;
  T sum[kChains] = {};
  for (int64_t n = 0; n < iterations; ++n)
#pragma GCC unroll 8
    for (int i = 0; i < kChains; ++i) sum[i] = sum[i] * a + a;
  T total = 0;
  for (const T each : sum) total += each;
  volatile T sink = total;
  static_cast<void>(sink);
  return iterations * kChains * 2;
}

inline int64_t peak_dot_s8u8(int64_t iterations, int) noexcept {
  volatile uint32_t factor = 3;
  return multiply_add_chains<uint32_t>(iterations, factor);
}
inline int64_t peak_fma_f32(int64_t iterations, int) noexcept {
  volatile float factor = 0.5f;
  return multiply_add_chains<float>(iterations, factor);
}

inline int64_t dependent_adds(int64_t iterations) noexcept {
  constexpr int kUnrolled = 64;
  int64_t sum = 0, one = 1;
  __asm__ volatile("" : "+r"(one));  // adding a constant may cost no cycle at all
  for (int64_t n = 0; n < iterations; ++n)
#pragma GCC unroll 64
    for (int i = 0; i < kUnrolled; ++i) {
      sum += one;
      __asm__ volatile("" : "+r"(sum));
    }
  return iterations * kUnrolled;
}

}  // namespace
}  // namespace stamp
