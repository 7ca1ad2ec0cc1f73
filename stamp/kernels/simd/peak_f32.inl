// The same for fp32, and the clock. Included once per instruction set, after peak.inl and the
// vector of floats.
#include <cstdint>

namespace stamp {
namespace {

template <bool Unrolled>
[[gnu::noinline]] int64_t fma_chains(int64_t iterations) {
  Vec sum[kChains], a = broadcast(0.5f), b = broadcast(0.5f);
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) sum[i] = zero(), opaque(sum[i]);
  opaque(a), opaque(b);
  repeat_chains<Unrolled>(iterations, [&](int i) { sum[i] = fma(a, b, sum[i]); });
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) opaque(sum[i]);
  return iterations * kChains * 2 * kWidth;
}

int64_t peak_fma_f32(int64_t iterations, int variant) noexcept {
  return variant == 0 ? fma_chains<true>(iterations) : fma_chains<false>(iterations);
}

/// Vectors of full width, so that the clock is the one that such instructions run at.
int64_t dependent_adds(int64_t iterations) noexcept {
  constexpr int kUnrolled = 64;
  Int sum = zero_int(), one = ones_16();
  opaque(one);
  for (int64_t n = 0; n < iterations; ++n)
#pragma GCC unroll 64
    for (int i = 0; i < kUnrolled; ++i) sum = add_32(sum, one), opaque(sum);
  return iterations * kUnrolled;
}

}  // namespace
}  // namespace stamp
