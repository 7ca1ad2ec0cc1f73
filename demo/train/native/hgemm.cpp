// C (fp32) = A * B with half-precision multiply-adds.
#include <memory>

#include "half.h"

namespace {

constexpr int kChunks = 4, kLongDepth = kChunks * kDepth;
constexpr long kPackedSize = 2048 * 512;  // elements of B packed at a time: half of a 2 MB cache
constexpr int kChunkSize = kRows * kRowPitch > kDepth * 16 ? kRows* kRowPitch : kDepth * 16;

enum class Write { stream, store, add };

void write_tile(const float* tile, int rows, float unscale, Write how, float* c, long pitch) {
  __m512 u = _mm512_set1_ps(unscale);
  for (int r = 0; r < rows; ++r)
    for (int n = 0; n < kCols; n += 16) {
      __m512 v = _mm512_mul_ps(u, _mm512_loadu_ps(tile + r * kCols + n));
      float* p = c + r * pitch + n;
      if (how == Write::stream)
        _mm512_stream_ps(p, v);
      else
        _mm512_storeu_ps(p, how == Write::add ? _mm512_add_ps(v, _mm512_loadu_ps(p)) : v);
    }
}

template <bool Transposed>
void row_block(const Matrix& a, long row, int rows, long k0, long depth, float scale,
               const uint16_t* packed, long panels, uint32_t* chunks, float unscale, Write how,
               float* c, long pitch) {
  alignas(64) float tile[kRows * kCols];
  for (long k = 0; k < depth; k += kDepth) {
    int part = (int)std::min<long>(kDepth, depth - k);
    uint32_t* out = chunks + k / kDepth * kChunkSize;
    Transposed ? pack_columns(a, row, rows, k0 + k, part, scale, out)
               : pack_rows(a, row, rows, k0 + k, part, scale, out);
  }
  for (long p = 0; p < panels; ++p) {
    for (long k = 0; k < depth; k += kDepth) {
      int part = (int)std::min<long>(kDepth, depth - k);
      const uint16_t* b = packed + (p * depth + k) * kCols;
      kernel<Transposed ? 1 : kRowPitch, Transposed ? 16 : 1>(chunks + k / kDepth * kChunkSize, b,
                                                              part, tile, kCols, k > 0);
    }
    write_tile(tile, rows, unscale, how, c + p * kCols, pitch);
  }
}

}  // namespace

// A is M x K (or its transpose in memory), B is K x N (likewise); N must be a multiple of 64.
// Operands are multiplied by their scales before they are rounded to fp16; C is divided by both.
extern "C" void hgemm(long M, long N, long K, const float* a, long lda, int a_transposed,
                      float a_scale, const float* b, long ldb, int b_transposed, float b_scale,
                      float* c, long ldc, int accumulate) {
  Matrix A{a, a_transposed ? 1 : lda, a_transposed ? lda : 1};
  Matrix B{b, b_transposed ? 1 : ldb, b_transposed ? ldb : 1};
  float unscale = 1 / (a_scale * b_scale);
  thread_local std::unique_ptr<uint16_t[]> storage(new uint16_t[kPackedSize + 64]);
  uint16_t* packed = (uint16_t*)(((uintptr_t)storage.get() + 63) & ~(uintptr_t)63);
  bool aligned = (uintptr_t)c % 64 == 0 && ldc % 16 == 0;
  long blocks = (M + kRows - 1) / kRows;
  long most = a_transposed ? 2 * kDepth : kLongDepth;  // K handled before C is written
  for (long k0 = 0; k0 < K; k0 += most) {
    long depth = std::min(most, K - k0),
         width = std::max<long>(1, kPackedSize / depth / kCols) * kCols;
    Write how = accumulate || k0 > 0   ? Write::add
                : K > most || !aligned ? Write::store
                                       : Write::stream;
    for (long n0 = 0; n0 < N; n0 += width) {
      long panels = std::min(width, N - n0) / kCols;
#pragma omp parallel
      {
#pragma omp for schedule(dynamic)
        for (long p = 0; p < panels; ++p)
          pack_b(B, k0, (int)depth, n0 + p * kCols, b_scale, packed + p * depth * kCols);
        alignas(64) uint32_t chunks[kChunks * kChunkSize];
#pragma omp for schedule(dynamic, 2)
        for (long i = 0; i < blocks; ++i) {
          int rows = (int)std::min<long>(kRows, M - i * kRows);
          (a_transposed ? row_block<true>
                        : row_block<false>)(A, i * kRows, rows, k0, depth, a_scale, packed, panels,
                                            chunks, unscale, how, c + i * kRows * ldc + n0, ldc);
        }
      }
    }
  }
}
