// Integer products without 8-bit dot products: maddubs adds two products of bytes in 16 bits. As
// many such sums are added in 16 bits as the limits of rows and panel allow; where not even one
// fits, bytes are widened first.
#include <cstdint>

namespace stamp {
namespace {

constexpr int kPairRows = 6;
constexpr int kNarrowRows = 4;  // where a tile needs registers for two halves of the panel
constexpr int kPairVectors = kIntRegisters / 8;

/// How many pairs of products |a u| fit a sum of 16 bits: 72 for 15 x 15, 8 for 128 x 15, 0 for
/// 128 x 255.
inline int64_t pairs_in_16_bits(const uint8_t* a_limit, int64_t m, int u_limit) {
  int limit = a_limit ? 1 : 128;
  for (int64_t i = 0; a_limit && i < m; ++i)
    if (a_limit[i] > limit) limit = a_limit[i];
  return 32767 / (2 * limit * u_limit);
}

inline Int dot(Int sum, Int u, Int s) { return add_16(sum, multiply_pairs_8(u, s)); }

/// The same, out of the optimizer's reach.
inline void peak_step(Int& sum, Int u, Int s) {
  Int pairs;
  __asm__ volatile("vpmaddubsw %3, %2, %1\n\tvpaddw %1, %0, %0"
                   : "+v"(sum), "=&v"(pairs)
                   : "v"(u), "v"(s));
}

inline void add_to(int32_t* c, Int sum) { store_int(c, add_32(load_int(c), sum)); }

inline void clear_rows(int32_t* c, int64_t ldc, int64_t m) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < kPanel; j += kIntLanes) store_int(c + i * ldc + j, zero_int());
}

/// c[Rows, kPairVectors vectors] += a[Rows, k] panel, summed in 16 bits.
template <int Rows>
[[gnu::noinline]] void pair_tile(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c,
                                 int64_t ldc, int64_t k) {
  Int sum[Rows][kPairVectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v) sum[i][v] = zero_int();
  for (int64_t p = 0; p < k; p += 4, panel += kGroupBytes) {
    Int u[kPairVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v) u[v] = load_int(panel + v * 4 * kIntLanes);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const Int s = broadcast_4(a + i * lda + p);
#pragma GCC unroll 8
      for (int v = 0; v < kPairVectors; ++v) sum[i][v] = dot(sum[i][v], u[v], s), opaque(sum[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v)
      add_to(c + i * ldc + v * kIntLanes, multiply_pairs_16(sum[i][v], ones_16()));
}

/// The same for any bytes: even and odd ones apart, in 16 bits; a product of two pairs fits 32.
template <int Rows>
[[gnu::noinline]] void wide_tile(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c,
                                 int64_t ldc, int64_t k) {
  Int sum[Rows][kPairVectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v) sum[i][v] = zero_int();
  for (int64_t p = 0; p < k; p += 4, panel += kGroupBytes) {
    Int even[kPairVectors], odd[kPairVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v) {
      const Int u = load_int(panel + v * 4 * kIntLanes);
      even[v] = even_unsigned(u);
      odd[v] = odd_unsigned(u);
    }
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const Int s = broadcast_4(a + i * lda + p), s_even = even_signed(s), s_odd = odd_signed(s);
#pragma GCC unroll 8
      for (int v = 0; v < kPairVectors; ++v) {
        sum[i][v] = add_32(sum[i][v], multiply_pairs_16(even[v], s_even)), opaque(sum[i][v]);
        sum[i][v] = add_32(sum[i][v], multiply_pairs_16(odd[v], s_odd)), opaque(sum[i][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v) add_to(c + i * ldc + v * kIntLanes, sum[i][v]);
}

void gemm_s8u8(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
               int64_t m, int64_t k, const uint8_t* a_limit, int u_limit, int accumulate) noexcept {
  constexpr int64_t kColumns = kPairVectors * kIntLanes;
  if (!accumulate) clear_rows(c, ldc, m);
  for_row_tiles<kPairRows>(m, [&]<int Rows>(int64_t i) {
    const int8_t* rows = a + i * lda;
    const int64_t pairs = pairs_in_16_bits(a_limit ? a_limit + i : nullptr, Rows, u_limit);
    for (int64_t j = 0; j < kPanel && pairs; j += kColumns)  // a lane gets one pair of every four k
      for (int64_t p = 0; p < k; p += 4 * pairs)
        pair_tile<Rows>(rows + p, lda, panel + p * kPanel + 4 * j, c + i * ldc + j, ldc,
                        k - p < 4 * pairs ? k - p : 4 * pairs);
    if (pairs) return;
    for_row_tiles<kNarrowRows>(Rows, [&]<int Few>(int64_t r) {
      for (int64_t j = 0; j < kPanel; j += kColumns)
        wide_tile<Few>(rows + r * lda, lda, panel + 4 * j, c + (i + r) * ldc + j, ldc, k);
    });
  });
}

/// c[Rows, kPairVectors vectors] += a[Rows, k] panel over a nibble panel, summed in 16 bits.
template <int Rows>
[[gnu::noinline]] void nibble_tile(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c,
                                   int64_t ldc, int64_t k) {
  Int sum[Rows][kPairVectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v) sum[i][v] = zero_int();
  for (int64_t p = 0; p < k; p += 8, panel += kGroupBytes)
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      Int u[kPairVectors];
      load_nibbles<kPairVectors>(panel, half, u);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        const Int s = broadcast_4(a + i * lda + p + 4 * half);
#pragma GCC unroll 8
        for (int v = 0; v < kPairVectors; ++v)
          sum[i][v] = dot(sum[i][v], u[v], s), opaque(sum[i][v]);
      }
    }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kPairVectors; ++v)
      add_to(c + i * ldc + v * kIntLanes, multiply_pairs_16(sum[i][v], ones_16()));
}

void gemm_s8u4(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
               int64_t m, int64_t k, const uint8_t* a_limit) noexcept {
  const int64_t block = pairs_in_16_bits(a_limit, m, 15) / 2 * 8;  // at least 4 x 8
  clear_rows(c, ldc, m);
  for (int64_t p = 0; p < k; p += block)
    for_row_tiles<kNarrowRows>(m, [&]<int Rows>(int64_t i) {
      for (int64_t j = 0; j < kPanel; j += kPairVectors * kIntLanes)
        nibble_tile<Rows>(a + i * lda + p, lda, panel + p * kPanel / 2 + 4 * j, c + i * ldc + j,
                          ldc, k - p < block ? k - p : block);
    });
}

}  // namespace
}  // namespace stamp
