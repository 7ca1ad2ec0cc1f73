#pragma once
// Attention over packed blocks: one block of 64 slots is four registers.
#include <immintrin.h>

#include <cstdint>

#include "stamp/kernels/packed_panel.h"

namespace stamp {
namespace {

/// The stored bytes of one plane of a tile, at their places.
struct SpreadBytes {
  __mmask16 lanes;
  __m512i order;
  explicit SpreadBytes(const PanelPlane& plane)
      : lanes(static_cast<__mmask16>(plane.lanes)),
        order(_mm512_broadcast_i32x4(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(plane.spread)))) {}
  __m512i operator()(const uint8_t* p) const {
    return _mm512_shuffle_epi8(_mm512_maskz_expandloadu_epi32(lanes, p), order);
  }
};
struct WholeBytes {
  __m512i operator()(const uint8_t* p) const { return _mm512_loadu_si512(p); }
};

template <int kBits, bool kAdds, class Load>
const uint8_t* unpack_plane(const uint8_t* packed, const Load& load, const PanelPlane& plane,
                            const uint32_t* offsets, uint8_t* panel) {
  constexpr int kStep = 8 / kBits;
  const __m512i low = _mm512_set1_epi8((1 << kBits) - 1);
  const __m128i shift = _mm_cvtsi32_si128(plane.shift);
  const uint32_t* offset = offsets + plane.first;
  for (int left = plane.tiles; left > 0; left -= kStep, offset += kStep, packed += plane.bytes) {
    const __m512i stored = load(packed);
    for (int i = 0; i < kStep; ++i) {
      if (i >= left) break;
      __m512i codes = _mm512_and_si512(_mm512_srli_epi16(stored, i * kBits), low);
      uint8_t* tile = panel + offset[i];
      if (kAdds) codes = _mm512_or_si512(_mm512_sll_epi16(codes, shift), _mm512_loadu_si512(tile));
      _mm512_storeu_si512(tile, codes);
    }
  }
  return packed;
}

template <bool kAdds, class Load>
const uint8_t* unpack_plane(const uint8_t* packed, const Load& load, const PanelPlane& plane,
                            const uint32_t* offsets, uint8_t* panel) {
  if (plane.bits == 4) return unpack_plane<4, kAdds>(packed, load, plane, offsets, panel);
  if (plane.bits == 2) return unpack_plane<2, kAdds>(packed, load, plane, offsets, panel);
  return unpack_plane<1, kAdds>(packed, load, plane, offsets, panel);
}

template <bool kAdds>
const uint8_t* unpack_plane(const uint8_t* packed, const PanelPlane& plane, const uint32_t* offsets,
                            uint8_t* panel) {
  if (plane.bytes == 64) return unpack_plane<kAdds>(packed, WholeBytes{}, plane, offsets, panel);
  return unpack_plane<kAdds>(packed, SpreadBytes(plane), plane, offsets, panel);
}

/// Whole groups of one plane of nibbles: what a block at four bits is made of.
const uint8_t* unpack_nibbles(const uint8_t* packed, int64_t tiles, const uint32_t* offsets,
                              uint8_t* panel) {
  const __m512i low = _mm512_set1_epi8(15);
  for (int64_t t = 0; t < tiles; t += 2, packed += 64) {
    const __m512i stored = _mm512_loadu_si512(packed);
    _mm512_storeu_si512(panel + offsets[t], _mm512_and_si512(stored, low));
    _mm512_storeu_si512(panel + offsets[t + 1],
                        _mm512_and_si512(_mm512_srli_epi16(stored, 4), low));
  }
  return packed;
}

void unpack_panel(const uint8_t* packed, const PanelRun* runs, int64_t count,
                  const PanelPlane* planes, const uint32_t* offsets, uint8_t* panel) noexcept {
  for (const PanelRun* run = runs; run < runs + count; ++run) {
    const PanelPlane* first = planes + run->first_plane;
    const bool nibbles = run->planes == 1 && first->bits == 4 && first->bytes == 64;
    if (nibbles && !run->clear && run->tiles % 2 == 0) {
      packed = unpack_nibbles(packed, run->tiles, offsets, panel);
      offsets += run->tiles;
      continue;
    }
    for (int64_t left = run->tiles; left > 0; left -= 8) {
      const int64_t tiles = left < 8 ? left : 8;
      if (run->clear)
        for (int64_t t = 0; t < tiles; ++t)
          _mm512_storeu_si512(panel + offsets[t], _mm512_setzero_si512());
      for (const PanelPlane* plane = first; plane < first + run->planes; ++plane)
        packed = plane->adds ? unpack_plane<true>(packed, *plane, offsets, panel)
                             : unpack_plane<false>(packed, *plane, offsets, panel);
      offsets += tiles;
    }
  }
}

/// 64 slots.
struct Slots {
  __m512 z[4];
};

/// The Haar levels inside the first 16 slots. Level i turns 2^i coefficients into 2^(i + 1) and
/// leaves the lanes behind them alone.
alignas(64) constexpr int32_t kLeft[4][16] = {
    {0, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {0, 0, 1, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {0, 0, 1, 1, 2, 2, 3, 3, 8, 9, 10, 11, 12, 13, 14, 15},
    {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7}};
alignas(64) constexpr int32_t kRight[4][16] = {
    {1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15}};
alignas(64) constexpr float kRightSign[4][16] = {
    {1, -1},
    {1, -1, 1, -1},
    {1, -1, 1, -1, 1, -1, 1, -1},
    {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1}};
alignas(64) constexpr int32_t kEven[4][16] = {
    {0, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {0, 2, 0, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {0, 2, 4, 6, 0, 2, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15},
    {0, 2, 4, 6, 8, 10, 12, 14, 0, 2, 4, 6, 8, 10, 12, 14}};
alignas(64) constexpr int32_t kOdd[4][16] = {
    {1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {1, 3, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {1, 3, 5, 7, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {1, 3, 5, 7, 9, 11, 13, 15, 1, 3, 5, 7, 9, 11, 13, 15}};
alignas(64) constexpr float kOddSign[4][16] = {
    {1, -1},
    {1, 1, -1, -1},
    {1, 1, 1, 1, -1, -1, -1, -1},
    {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1}};

inline __m512 haar_lanes(__m512 z, const int32_t* a, const int32_t* b, const float* sign) {
  return _mm512_fmadd_ps(_mm512_load_ps(sign), _mm512_permutexvar_ps(_mm512_load_si512(b), z),
                         _mm512_permutexvar_ps(_mm512_load_si512(a), z));
}

inline void slots_to_tokens(Slots& x, int levels) {
  __m512(&z)[4] = x.z;
  for (int i = 6 - levels; i < 4; ++i) z[0] = haar_lanes(z[0], kLeft[i], kRight[i], kRightSign[i]);
  if (levels >= 2) {
    const __m512 sum = _mm512_add_ps(z[0], z[1]);
    z[1] = _mm512_sub_ps(z[0], z[1]);
    z[0] = sum;
  }
  if (levels >= 1) {
    const __m512 a0 = z[0], a1 = z[1], d0 = z[2], d1 = z[3];
    z[0] = _mm512_add_ps(a0, d0);
    z[1] = _mm512_sub_ps(a0, d0);
    z[2] = _mm512_add_ps(a1, d1);
    z[3] = _mm512_sub_ps(a1, d1);
  }
}

inline void tokens_to_slots(Slots& x, int levels) {
  __m512(&z)[4] = x.z;
  if (levels >= 1) {
    const __m512 x0 = z[0], x1 = z[1], x2 = z[2], x3 = z[3];
    z[0] = _mm512_add_ps(x0, x1);
    z[1] = _mm512_add_ps(x2, x3);
    z[2] = _mm512_sub_ps(x0, x1);
    z[3] = _mm512_sub_ps(x2, x3);
  }
  if (levels >= 2) {
    const __m512 sum = _mm512_add_ps(z[0], z[1]);
    z[1] = _mm512_sub_ps(z[0], z[1]);
    z[0] = sum;
  }
  for (int i = 3; i >= 6 - levels; --i) z[0] = haar_lanes(z[0], kEven[i], kOdd[i], kOddSign[i]);
}

inline __m512 widen_u8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

/// Sums of one or two planes, of `lanes` only.
template <int kPlanes>
inline __m512 plane_sums(const int32_t* high, const int32_t* low, __mmask16 lanes = 0xffff) {
  const __m512 x = _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(lanes, high));
  if (kPlanes == 1) return x;
  return _mm512_fmadd_ps(x, _mm512_set1_ps(256.0f),
                         _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(lanes, low)));
}

template <int kPlanes>
inline void kv_scores(const int32_t* acc, const float* q_scale, const float* q_sum,
                      const float* scale, const uint8_t* zero, int levels, float* scores, int64_t m,
                      int accumulate) {
  __m512 row_scale[4], row_zero[4];
  for (int v = 0; v < 4; ++v) {
    row_scale[v] = _mm512_loadu_ps(scale + 16 * v);
    row_zero[v] = widen_u8(zero + 16 * v);
  }
  for (int64_t i = 0; i < m; ++i, acc += 64, scores += 64) {
    const __m512 factor = _mm512_set1_ps(q_scale[i]), sum = _mm512_set1_ps(q_sum[i]);
    Slots x;
    for (int v = 0; v < 4; ++v) {
      const __m512 codes = plane_sums<kPlanes>(acc + 16 * v, acc + m * 64 + 16 * v);
      x.z[v] = _mm512_mul_ps(row_scale[v],
                             _mm512_fmsub_ps(factor, codes, _mm512_mul_ps(row_zero[v], sum)));
    }
    slots_to_tokens(x, levels);
    for (int v = 0; v < 4; ++v) {
      if (accumulate) x.z[v] = _mm512_add_ps(x.z[v], _mm512_loadu_ps(scores + 16 * v));
      _mm512_storeu_ps(scores + 16 * v, x.z[v]);
    }
  }
}

void kv_scores(const int32_t* acc, int planes, const float* q_scale, const float* q_sum,
               const float* scale, const uint8_t* zero, int levels, float* scores, int64_t m,
               int accumulate) noexcept {
  if (planes == 2)
    kv_scores<2>(acc, q_scale, q_sum, scale, zero, levels, scores, m, accumulate);
  else
    kv_scores<1>(acc, q_scale, q_sum, scale, zero, levels, scores, m, accumulate);
}

/// Bytes of 64 values that fit 16 bits: all of one plane, or the upper and the lower halves.
struct CodePlanes {
  __m512i high, low;
};
template <int kPlanes>
inline CodePlanes split_values(const __m512i (&value)[4]) {
  // Packing works within lanes of 128 bits: word 4 l + j of a plane comes from lane l of vector j.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i a = _mm512_packs_epi32(value[0], value[1]);
  const __m512i b = _mm512_packs_epi32(value[2], value[3]);
  if (kPlanes == 1)
    return {_mm512_permutexvar_epi32(order, _mm512_packs_epi16(a, b)), _mm512_setzero_si512()};
  const __m512i half = _mm512_set1_epi16(128), byte = _mm512_set1_epi16(255);
  const __m512i high = _mm512_packs_epi16(_mm512_srai_epi16(_mm512_add_epi16(a, half), 8),
                                          _mm512_srai_epi16(_mm512_add_epi16(b, half), 8));
  const __m512i low = _mm512_packus_epi16(_mm512_and_si512(a, byte), _mm512_and_si512(b, byte));
  return {_mm512_permutexvar_epi32(order, high), _mm512_permutexvar_epi32(order, low)};
}

template <int kPlanes>
inline int32_t split_codes(const float* x, int64_t n, float factor, int8_t* high, int8_t* low) {
  const __m512 scale = _mm512_set1_ps(factor),
               top = _mm512_set1_ps(kPlanes == 2 ? 32639.0f : 127.0f);
  const __m512 bottom = _mm512_sub_ps(_mm512_setzero_ps(), top);
  __m512i sum = _mm512_setzero_si512();
  for (int64_t i = 0; i < n; i += 64) {
    const int64_t left = n - i;
    const uint64_t lanes = left >= 64 ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
    __m512i value[4];
    for (int v = 0; v < 4; ++v) {
      const __m512 y = _mm512_mul_ps(
          _mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes >> 16 * v), x + i + 16 * v), scale);
      value[v] = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(y, bottom), top));
      sum = _mm512_add_epi32(sum, value[v]);
    }
    const CodePlanes planes = split_values<kPlanes>(value);
    _mm512_mask_storeu_epi8(high + i, lanes, planes.high);
    if (kPlanes == 2) _mm512_mask_storeu_epi8(low + i, lanes, planes.low);
  }
  return _mm512_reduce_add_epi32(sum);
}

int32_t split_codes(const float* x, int64_t n, float factor, int planes, int8_t* high,
                    int8_t* low) noexcept {
  return planes == 2 ? split_codes<2>(x, n, factor, high, low)
                     : split_codes<1>(x, n, factor, high, low);
}

inline __m256 halves_max(__m512 x) {
  return _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
}
/// Pairs of neighbours of a and of b.
inline __m256 pairs_max(__m256 a, __m256 b) {
  return _mm256_max_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xdd));
}
/// The largest lanes of four vectors, at least 1e-30.
inline __m128 largest_of_four(const __m512 (&x)[4]) {
  const __m256 all = pairs_max(pairs_max(halves_max(x[0]), halves_max(x[1])),
                               pairs_max(halves_max(x[2]), halves_max(x[3])));
  return _mm_max_ps(_mm_max_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)),
                    _mm_set1_ps(1e-30f));
}
inline __m256 halves_sum(__m512 x) {
  return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
}
inline __m128 sum_of_four(const __m512 (&x)[4]) {
  const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(halves_sum(x[0]), halves_sum(x[1])),
                                    _mm256_hadd_ps(halves_sum(x[2]), halves_sum(x[3])));
  return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

/// Row scales and zero points of a block.
struct RowGrids {
  __m512 scale[4], zero[4];
};

/// Up to four rows at once; `low` is where the lower plane of the first one goes.
template <int kPlanes>
inline void weigh_rows(const float* p, const RowGrids& grids, int levels, int8_t* high, int8_t* low,
                       float* w_scale, float* w_offset, int64_t rows) {
  constexpr float kTop = kPlanes == 2 ? 32639.0f : 127.0f;
  alignas(64) float w[4][64];
  alignas(16) float factors[4];
  __m512 sizes[4] = {}, offsets[4] = {};
  for (int64_t i = 0; i < rows; ++i) {
    Slots x;
    for (int v = 0; v < 4; ++v) x.z[v] = _mm512_loadu_ps(p + 64 * i + 16 * v);
    tokens_to_slots(x, levels);
    for (int v = 0; v < 4; ++v) {
      x.z[v] = _mm512_mul_ps(x.z[v], grids.scale[v]);
      _mm512_store_ps(w[i] + 16 * v, x.z[v]);
    }
    sizes[i] = _mm512_max_ps(_mm512_max_ps(_mm512_abs_ps(x.z[0]), _mm512_abs_ps(x.z[1])),
                             _mm512_max_ps(_mm512_abs_ps(x.z[2]), _mm512_abs_ps(x.z[3])));
  }
  const __m128 largest = largest_of_four(sizes), top = _mm_set1_ps(kTop);
  _mm_store_ps(factors, _mm_div_ps(top, largest));
  for (int64_t i = 0; i < rows; ++i) {
    const __m512 factor = _mm512_set1_ps(factors[i]);
    __m512i value[4];
    for (int v = 0; v < 4; ++v) {
      value[v] = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_load_ps(w[i] + 16 * v), factor));
      offsets[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(value[v]), grids.zero[v], offsets[i]);
    }
    const CodePlanes planes = split_values<kPlanes>(value);
    _mm512_storeu_si512(high + 64 * i, planes.high);
    if (kPlanes == 2) _mm512_storeu_si512(low + 64 * i, planes.low);
  }
  const __mmask8 lanes = static_cast<__mmask8>((1 << rows) - 1);
  const __m128 scale = _mm_div_ps(largest, top);
  _mm_mask_storeu_ps(w_scale, lanes, scale);
  _mm_mask_storeu_ps(w_offset, lanes, _mm_mul_ps(sum_of_four(offsets), scale));
}

template <int kPlanes>
inline void kv_weights(const float* p, const float* scale, const uint8_t* zero, int levels,
                       int8_t* codes, float* w_scale, float* w_offset, int64_t m) {
  RowGrids grids;
  for (int v = 0; v < 4; ++v) {
    grids.scale[v] = _mm512_loadu_ps(scale + 16 * v);
    grids.zero[v] = widen_u8(zero + 16 * v);
  }
  int64_t i = 0;
  for (; i + 4 <= m; i += 4)
    weigh_rows<kPlanes>(p + 64 * i, grids, levels, codes + 64 * i, codes + 64 * (m + i),
                        w_scale + i, w_offset + i, 4);
  if (i < m)
    weigh_rows<kPlanes>(p + 64 * i, grids, levels, codes + 64 * i, codes + 64 * (m + i),
                        w_scale + i, w_offset + i, m - i);
}

void kv_weights(const float* p, const float* scale, const uint8_t* zero, int levels, int planes,
                int8_t* codes, float* w_scale, float* w_offset, int64_t m) noexcept {
  if (planes == 2)
    kv_weights<2>(p, scale, zero, levels, codes, w_scale, w_offset, m);
  else
    kv_weights<1>(p, scale, zero, levels, codes, w_scale, w_offset, m);
}

template <int kPlanes>
inline void kv_values(const int32_t* acc, const float* w_scale, const float* w_offset, float* out,
                      int64_t ldo, int64_t m, int64_t n) {
  for (int64_t i = 0; i < m; ++i, acc += 64, out += ldo) {
    const __m512 factor = _mm512_set1_ps(w_scale[i]), offset = _mm512_set1_ps(w_offset[i]);
    for (int64_t j = 0; j < n; j += 16) {
      const int64_t left = n - j;
      const __mmask16 lanes = static_cast<__mmask16>(left >= 16 ? 0xffff : (1 << left) - 1);
      const __m512 sums = plane_sums<kPlanes>(acc + j, acc + m * 64 + j, lanes);
      const __m512 y = _mm512_maskz_loadu_ps(lanes, out + j);
      _mm512_mask_storeu_ps(out + j, lanes,
                            _mm512_add_ps(y, _mm512_fmsub_ps(factor, sums, offset)));
    }
  }
}

void kv_values(const int32_t* acc, int planes, const float* w_scale, const float* w_offset,
               float* out, int64_t ldo, int64_t m, int64_t n) noexcept {
  if (planes == 2)
    kv_values<2>(acc, w_scale, w_offset, out, ldo, m, n);
  else
    kv_values<1>(acc, w_scale, w_offset, out, ldo, m, n);
}

}  // namespace
}  // namespace stamp
