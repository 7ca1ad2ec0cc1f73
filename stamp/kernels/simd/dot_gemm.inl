// Integer products with an instruction that adds four products of unsigned and signed bytes to a
// 32-bit lane: Int dot(Int sum, Int u, Int s), defined before this file is included. Activations
// are broadcast from memory: only the signed factor may come that way, hence s8 rows and u8 panels.
#include <cstdint>

namespace stamp {
namespace {

constexpr int kDotRows = 6;
// 6 x 4 accumulators of 32 registers, or 6 x 2 of 16; the rest holds the panel and a broadcast.
constexpr int kDotVectors = kIntRegisters / 8;
constexpr int kNibbleRegisters = kIntRegisters == 32 ? 28 : 12;  // for sums and a half of the panel
constexpr int kNibbleRows = kIntRegisters == 32 ? 6 : 4;
// The nibble panel is walked in blocks that stay in L1, so that tiles after the first cost no
// memory traffic.
constexpr int64_t kNibbleBlock = 1024;

/// c[Rows, kDotVectors vectors] (+)= a[Rows, k] panel. Meanwhile the rows of the next tile are
/// fetched: they come from L2 or beyond, and waiting for them costs 6 % of the peak.
template <int Rows>
[[gnu::noinline]] void dot_tile(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c,
                                int64_t ldc, int64_t k, int accumulate) {
  constexpr int64_t kLine = 64;
  Int sum[Rows][kDotVectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kDotVectors; ++v)
      sum[i][v] = accumulate ? load_int(c + i * ldc + v * kIntLanes) : zero_int();
  for (int64_t line = 0; line < k; line += kLine) {
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i)
      __builtin_prefetch(a + (Rows + i) * lda, 0, 3);
    const int8_t* end = a + (k - line < kLine ? k - line : kLine);
    for (; a < end; a += 4, panel += kGroupBytes) {
      Int u[kDotVectors];
#pragma GCC unroll 8
      for (int v = 0; v < kDotVectors; ++v) u[v] = load_int(panel + v * 4 * kIntLanes);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        const Int s = broadcast_4(a + i * lda);
#pragma GCC unroll 8
        for (int v = 0; v < kDotVectors; ++v)
          sum[i][v] = dot(sum[i][v], u[v], s), opaque(sum[i][v]);
      }
    }
  }
  opaque(c);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < kDotVectors; ++v) store_int(c + i * ldc + v * kIntLanes, sum[i][v]);
}

void gemm_s8u8(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
               int64_t m, int64_t k, const uint8_t*, int, int accumulate) noexcept {
  for_row_tiles<kDotRows>(m, [&]<int Rows>(int64_t i) {
    for (int64_t j = 0; j < kPanel; j += kDotVectors * kIntLanes)
      dot_tile<Rows>(a + i * lda, lda, panel + 4 * j, c + i * ldc + j, ldc, k, accumulate);
  });
}

/// The same over k (a multiple of 8) rows of a nibble panel. Where registers allow, low and high
/// nibbles have accumulators of their own: few rows would wait for the latency of the dot product.
template <int Rows, int Vectors>
[[gnu::noinline]] void nibble_tile(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c,
                                   int64_t ldc, int64_t k, bool accumulate) {
  constexpr int kHalves = (2 * Rows + 1) * Vectors <= kNibbleRegisters ? 2 : 1;
  Int sum[kHalves][Rows][Vectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      sum[kHalves - 1][i][v] = zero_int();
      sum[0][i][v] = accumulate ? load_int(c + i * ldc + v * kIntLanes) : zero_int();
    }
  for (int64_t p = 0; p < k; p += 8, panel += kGroupBytes)
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      Int u[Vectors];
      load_nibbles<Vectors>(panel, half, u);
      Int(&sums)[Rows][Vectors] = sum[half * (kHalves - 1)];
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        const Int s = broadcast_4(a + i * lda + p + 4 * half);
#pragma GCC unroll 8
        for (int v = 0; v < Vectors; ++v) sums[i][v] = dot(sums[i][v], u[v], s), opaque(sums[i][v]);
      }
    }
  opaque(c);
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      Int& total = sum[0][i][v];
      if (kHalves == 2) total = add_32(total, sum[kHalves - 1][i][v]);
      store_int(c + i * ldc + v * kIntLanes, total);
    }
}

void gemm_s8u4(const int8_t* a, int64_t lda, const uint8_t* panel, int32_t* c, int64_t ldc,
               int64_t m, int64_t k, const uint8_t*) noexcept {
  int64_t p = 0;
  do {
    const int64_t block = k - p < kNibbleBlock ? k - p : kNibbleBlock;
    for_row_tiles<kNibbleRows>(m, [&]<int Rows>(int64_t i) {
      constexpr int kVectors = vectors_for(Rows + 1, kNibbleRegisters);
      for (int64_t j = 0; j < kPanel; j += kVectors * kIntLanes)
        nibble_tile<Rows, kVectors>(a + i * lda + p, lda, panel + p * kPanel / 2 + 4 * j,
                                    c + i * ldc + j, ldc, block, p > 0);
    });
    p += kNibbleBlock;
  } while (p < k);
}

}  // namespace
}  // namespace stamp
