// Building blocks: fp32 matrices packed to fp16 panels, and a 12 x 64 product of two panels.
// Sums are made in fp16 over kStretch products at most, and in fp32 beyond.
#pragma once
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

constexpr int kRows = 12, kCols = 64, kDepth = 512, kStretch = 128;
constexpr int kRowPitch = kDepth + 16;

struct Matrix {
  const float* data;
  long row, col;  // strides; one of them is 1
};

static inline float scale_of(const float* data, long rows, long cols, long pitch) {
  float top = 0;
#pragma omp parallel for reduction(max : top) schedule(static)
  for (long i = 0; i < rows; ++i) {
    const float* p = data + i * pitch;
    __m512 m = _mm512_setzero_ps();
    long j = 0;
    for (; j + 16 <= cols; j += 16) m = _mm512_max_ps(m, _mm512_abs_ps(_mm512_loadu_ps(p + j)));
    float t = _mm512_reduce_max_ps(m);
    for (; j < cols; ++j) t = std::max(t, std::fabs(p[j]));
    top = std::max(top, t);
  }
  if (!(top > 0) || !std::isfinite(top)) return 1;
  return std::ldexp(1.0f, 3 - std::ilogb(top));  // brings the largest magnitude into [8, 16)
}

inline __m512i doubled(__m512 v) {  // each value as fp16, twice, in 32 bits
  __m512i h = _mm512_cvtepu16_epi32(_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
  return _mm512_or_si512(h, _mm512_slli_epi32(h, 16));
}

// A panel, k contiguous in memory: out[r * kRowPitch + k].
inline void pack_rows(const Matrix& a, long row, int rows, long k0, int depth, float scale,
                      uint32_t* out) {
  __m512 s = _mm512_set1_ps(scale);
  for (int r = 0; r < kRows; ++r) {
    uint32_t* o = out + r * kRowPitch;
    if (r >= rows) {
      std::memset(o, 0, sizeof(uint32_t) * depth);
      continue;
    }
    const float* p = a.data + (row + r) * a.row + k0;
    for (int k = 0; k < depth; k += 16) {
      __mmask16 m = depth - k >= 16 ? 0xffff : (1 << (depth - k)) - 1;
      _mm512_mask_storeu_epi32(o + k, m,
                               doubled(_mm512_mul_ps(_mm512_maskz_loadu_ps(m, p + k), s)));
    }
  }
}

// A panel, rows contiguous in memory (A is a transposed matrix): out[k * 16 + r].
inline void pack_columns(const Matrix& a, long row, int rows, long k0, int depth, float scale,
                         uint32_t* out) {
  __m512 s = _mm512_set1_ps(scale);
  __mmask16 m = (1 << rows) - 1;
  const float* p = a.data + row + k0 * a.col;
  for (int k = 0; k < depth; ++k, p += a.col)
    _mm512_storeu_si512(out + k * 16, doubled(_mm512_mul_ps(_mm512_maskz_loadu_ps(m, p), s)));
}

// B panel of 64 columns: out[k * 64 + n].
inline void pack_b(const Matrix& b, long k0, int depth, long col, float scale, uint16_t* out) {
  __m512 s = _mm512_set1_ps(scale);
  if (b.col == 1) {
    for (int k = 0; k < depth; ++k)
      for (int n = 0; n < kCols; n += 16)
        _mm256_storeu_si256(
            (__m256i*)(out + k * kCols + n),
            _mm512_cvtps_ph(_mm512_mul_ps(_mm512_loadu_ps(b.data + (k0 + k) * b.row + col + n), s),
                            _MM_FROUND_TO_NEAREST_INT));
    return;
  }
  __m512i steps =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32((int)b.col));
  for (int n = 0; n < kCols; n += 16) {
    const float* p = b.data + (col + n) * b.col + k0;
    for (int k = 0; k < depth; ++k)
      _mm256_storeu_si256((__m256i*)(out + k * kCols + n),
                          _mm512_cvtps_ph(_mm512_mul_ps(_mm512_i32gather_ps(steps, p + k, 4), s),
                                          _MM_FROUND_TO_NEAREST_INT));
  }
}

template <int R, int K>
void kernel(const uint32_t* a, const uint16_t* b, int depth, float* tile, long pitch = kCols,
            bool add = false) {
  for (int start = 0; start < depth; start += kStretch) {
    int stop = std::min(depth, start + kStretch);
    __m512h acc[kRows][2];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = _mm512_setzero_ph();
    for (int k = start; k < stop; ++k) {
      __m512h b0 = _mm512_loadu_ph(b + k * kCols), b1 = _mm512_loadu_ph(b + k * kCols + 32);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        __m512h v = (__m512h)_mm512_set1_epi32((int)a[r * R + k * K]);
        acc[r][0] = _mm512_fmadd_ph(v, b0, acc[r][0]);
        acc[r][1] = _mm512_fmadd_ph(v, b1, acc[r][1]);
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        __m512i bits = (__m512i)acc[r][h];
        __m512 low = _mm512_cvtph_ps(_mm512_castsi512_si256(bits));
        __m512 high = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(bits, 1));
        float* t = tile + r * pitch + h * 32;
        if (start || add) {
          low = _mm512_add_ps(low, _mm512_loadu_ps(t));
          high = _mm512_add_ps(high, _mm512_loadu_ps(t + 16));
        }
        _mm512_storeu_ps(t, low);
        _mm512_storeu_ps(t + 16, high);
      }
  }
}

inline __m512 exp16(__m512 x) {  // x <= 0; relative error about 2e-6
  __m512 t = _mm512_mul_ps(_mm512_max_ps(x, _mm512_set1_ps(-87)), _mm512_set1_ps(1.44269504f));
  __m512 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
         f = _mm512_sub_ps(t, n);
  __m512 p = _mm512_set1_ps(1.3333558e-3f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(9.6181291e-3f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(5.5504109e-2f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(2.4022651e-1f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(6.9314718e-1f));
  return _mm512_scalef_ps(_mm512_fmadd_ps(p, f, _mm512_set1_ps(1)), n);
}
