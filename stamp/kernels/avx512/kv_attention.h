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
  const __m512i low = _mm512_set1_epi8((1 << kBits) - 1);
  const __m128i shift = _mm_cvtsi32_si128(plane.shift);
  const int end = plane.first + plane.tiles;
  for (int t = plane.first; t < end; packed += plane.bytes) {
    __m512i stored = load(packed);
    for (int i = 0; i < 8 / kBits && t < end; ++i, ++t) {
      __m512i codes = _mm512_and_si512(stored, low);
      uint8_t* tile = panel + offsets[t];
      if (kAdds) codes = _mm512_or_si512(_mm512_sll_epi16(codes, shift), _mm512_loadu_si512(tile));
      _mm512_storeu_si512(tile, codes);
      stored = _mm512_srli_epi16(stored, kBits);
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

/// 16 sums of one or two planes.
template <int kPlanes>
inline __m512 plane_sums(const int32_t* high, const int32_t* low) {
  const __m512 x = _mm512_cvtepi32_ps(_mm512_loadu_si512(high));
  if (kPlanes == 1) return x;
  return _mm512_fmadd_ps(x, _mm512_set1_ps(256.0f), _mm512_cvtepi32_ps(_mm512_loadu_si512(low)));
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

inline void store_codes(int8_t* p, __m512i x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x));
}

template <int kPlanes>
inline void kv_weights(const float* p, const float* scale, const uint8_t* zero, int levels,
                       int8_t* codes, float* w_scale, float* w_offset, int64_t m) {
  constexpr float kTop = kPlanes == 2 ? 32639.0f : 127.0f;
  __m512 row_scale[4], row_zero[4];
  for (int v = 0; v < 4; ++v) {
    row_scale[v] = _mm512_loadu_ps(scale + 16 * v);
    row_zero[v] = widen_u8(zero + 16 * v);
  }
  for (int64_t i = 0; i < m; ++i, p += 64, codes += 64) {
    Slots x;
    for (int v = 0; v < 4; ++v) x.z[v] = _mm512_loadu_ps(p + 16 * v);
    tokens_to_slots(x, levels);
    for (int v = 0; v < 4; ++v) x.z[v] = _mm512_mul_ps(x.z[v], row_scale[v]);
    const __m512 sizes = _mm512_max_ps(_mm512_max_ps(_mm512_abs_ps(x.z[0]), _mm512_abs_ps(x.z[1])),
                                       _mm512_max_ps(_mm512_abs_ps(x.z[2]), _mm512_abs_ps(x.z[3])));
    const float size = _mm512_reduce_max_ps(sizes), largest = size > 1e-30f ? size : 1e-30f;
    const __m512 factor = _mm512_set1_ps(kTop / largest);
    __m512 offset = _mm512_setzero_ps();
    for (int v = 0; v < 4; ++v) {
      const __m512i value = _mm512_cvtps_epi32(_mm512_mul_ps(x.z[v], factor));
      offset = _mm512_fmadd_ps(_mm512_cvtepi32_ps(value), row_zero[v], offset);
      if (kPlanes == 1) {
        store_codes(codes + 16 * v, value);
        continue;
      }
      // The low byte as it stands is value modulo 256 in [-128, 127].
      store_codes(codes + m * 64 + 16 * v, value);
      store_codes(codes + 16 * v,
                  _mm512_srai_epi32(_mm512_add_epi32(value, _mm512_set1_epi32(128)), 8));
    }
    w_scale[i] = largest / kTop;
    w_offset[i] = _mm512_reduce_add_ps(offset) * w_scale[i];
  }
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
      const __m512 sums = plane_sums<kPlanes>(acc + j, acc + m * 64 + j);
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
