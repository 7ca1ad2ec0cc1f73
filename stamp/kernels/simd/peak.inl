// Loops that touch nothing but registers: what this instruction set can do at best. Included once
// per instruction set, after void peak_step(Int& sum, Int u, Int s), the step of its inner loops.
#include <cstdint>

namespace stamp {
namespace {

// More chains than the latency of an instruction times its ports.
constexpr int kChains = kIntRegisters * 3 / 4;

/// step(i) for every chain, `iterations` times. Unrolled, it jumps every fourth time only: which is
/// faster depends on how jumps and products share ports.
template <bool Unrolled, class Step>
inline void repeat_chains(int64_t iterations, const Step& step) {
  if constexpr (Unrolled) {
#pragma GCC unroll 4
    for (int64_t n = 0; n < iterations; ++n)
#pragma GCC unroll 32
      for (int i = 0; i < kChains; ++i) step(i);
  } else {
    for (int64_t n = 0; n < iterations; ++n)
#pragma GCC unroll 32
      for (int i = 0; i < kChains; ++i) step(i);
  }
}

// Not inlined: with two loops in one function GCC spills.
template <bool Unrolled>
[[gnu::noinline]] int64_t dot_chains(int64_t iterations) {
  constexpr int64_t kOperations = 2 * 4 * kIntLanes;  // a multiply and an add per byte
  Int sum[kChains], u = ones_16(), s = ones_16();
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) sum[i] = zero_int(), opaque(sum[i]);
  opaque(u), opaque(s);
  repeat_chains<Unrolled>(iterations, [&](int i) { peak_step(sum[i], u, s); });
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) opaque(sum[i]);
  return iterations * kChains * kOperations;
}

int64_t peak_dot_s8u8(int64_t iterations, int variant) noexcept {
  return variant == 0 ? dot_chains<true>(iterations) : dot_chains<false>(iterations);
}

}  // namespace
}  // namespace stamp
