// C = A B by register tiles of kGemmRows x (kGemmVectors * kWidth). Included once per instruction
// set, after the vector type. B is read in place: the callers' tiles fit L1.
#include <cstdint>

namespace stamp {
namespace {

constexpr int kGemmRows = 6;

struct GemmArgs {
  const float* a;
  int64_t lda;
  const float* b;
  int64_t ldb;
  float* c;
  int64_t ldc, k;
  bool accumulate;
};

/// Loads or stores vector v of a row; the last one has `tail` elements when Tail.
template <int Vectors, bool Tail>
inline Vec load_column(const float* p, int v, int64_t tail) {
  return Tail && v == Vectors - 1 ? load(p + v * kWidth, tail) : load(p + v * kWidth);
}

/// One tile of Rows rows and Vectors vectors. Every loop over accumulators is unrolled, so that
/// they live in registers.
template <int Rows, int Vectors, bool Tail>
void gemm_tile(const GemmArgs& g, int64_t tail) {
  Vec sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v)
      sum[i][v] = g.accumulate ? load_column<Vectors, Tail>(g.c + i * g.ldc, v, tail) : zero();
  const float* a = g.a;
  const float* b = g.b;
  for (int64_t p = 0; p < g.k; ++p, ++a, b += g.ldb) {
    Vec column[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) column[v] = load_column<Vectors, Tail>(b, v, tail);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const Vec x = broadcast(a[i * g.lda]);
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[i][v] = fma(x, column[v], sum[i][v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      float* c = g.c + i * g.ldc + v * kWidth;
      if (Tail && v == Vectors - 1)
        store(c, sum[i][v], tail);
      else
        store(c, sum[i][v]);
    }
}

/// All row tiles of one column panel.
template <int Vectors, bool Tail>
void gemm_panel(GemmArgs g, int64_t m, int64_t tail) {
  for (; m >= kGemmRows; m -= kGemmRows) {
    gemm_tile<kGemmRows, Vectors, Tail>(g, tail);
    g.a += kGemmRows * g.lda;
    g.c += kGemmRows * g.ldc;
  }
  switch (m) {
    case 1:
      return gemm_tile<1, Vectors, Tail>(g, tail);
    case 2:
      return gemm_tile<2, Vectors, Tail>(g, tail);
    case 3:
      return gemm_tile<3, Vectors, Tail>(g, tail);
    case 4:
      return gemm_tile<4, Vectors, Tail>(g, tail);
    case 5:
      return gemm_tile<5, Vectors, Tail>(g, tail);
    default:
      return;
  }
}

/// The last panel: `n` columns, at most kGemmVectors vectors.
template <int Vectors>
void gemm_edge(const GemmArgs& g, int64_t m, int64_t n) {
  if constexpr (Vectors > 0) {
    const int64_t before = (Vectors - 1) * kWidth;
    if (n <= before) return gemm_edge<Vectors - 1>(g, m, n);
    if (n == before + kWidth) return gemm_panel<Vectors, false>(g, m, 0);
    gemm_panel<Vectors, true>(g, m, n - before);
  }
}

void gemm_f32(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
              int64_t m, int64_t n, int64_t k, int accumulate) noexcept {
  GemmArgs g{a, lda, b, ldb, c, ldc, k, accumulate != 0};
  constexpr int64_t kPanel = kGemmVectors * kWidth;
  for (; n > kPanel; n -= kPanel) {
    gemm_panel<kGemmVectors, false>(g, m, 0);
    g.b += kPanel;
    g.c += kPanel;
  }
  gemm_edge<kGemmVectors>(g, m, n);
}

}  // namespace
}  // namespace stamp
