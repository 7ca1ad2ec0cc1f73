// Loops that touch nothing but registers: what this instruction set can do at best. Included once
// per instruction set, after Int dot(Int sum, Int u, Int s), the step of its inner loops.
#include <cstdint>

namespace stamp {
namespace {

template <int Chains>
int64_t dot_chains(int64_t iterations) {
  constexpr int64_t kOperations = 2 * 4 * kIntLanes;  // a multiply and an add per byte
  Int sum[Chains], u = ones_16(), s = ones_16();
#pragma GCC unroll 32
  for (int i = 0; i < Chains; ++i) sum[i] = zero_int(), opaque(sum[i]);
  opaque(u);
  for (int64_t n = 0; n < iterations; ++n)
#pragma GCC unroll 32
    for (int i = 0; i < Chains; ++i) opaque(s), sum[i] = dot(sum[i], u, s);
#pragma GCC unroll 32
  for (int i = 0; i < Chains; ++i) opaque(sum[i]);
  return iterations * Chains * kOperations;
}

// Latency 5 times two ports is 10 chains; the two variants share no loop.
int64_t peak_dot_s8u8(int64_t iterations, int variant) noexcept {
  return variant == 0 ? dot_chains<kIntRegisters * 3 / 4>(iterations) : dot_chains<10>(iterations);
}

}  // namespace
}  // namespace stamp
