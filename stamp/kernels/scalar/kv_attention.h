#pragma once
// The specification of the kernels of attention over packed blocks.
#include <cstdint>

#include "stamp/kernels/packed_panel.h"

namespace stamp {
namespace {

constexpr int64_t kTileBytes = 64, kRunGroup = 8;

inline const uint8_t* unpack_plane(const uint8_t* packed, const PanelPlane& plane,
                                   const uint32_t* offsets, uint8_t* panel) {
  const int per_byte = 8 / plane.bits, end = plane.first + plane.tiles;
  const unsigned low = (1u << plane.bits) - 1;
  for (int t = plane.first; t < end; t += per_byte)
    for (int j = 0; j < kTileBytes; ++j) {
      if (!(plane.mask >> j & 1)) continue;
      unsigned byte = *packed++;
      for (int i = t; i < t + per_byte && i < end; ++i, byte >>= plane.bits)
        panel[offsets[i] + j] |= static_cast<uint8_t>((byte & low) << plane.shift);
    }
  return packed;
}

inline void unpack_panel(const uint8_t* packed, const PanelRun* runs, int64_t count,
                         const PanelPlane* planes, const uint32_t* offsets,
                         uint8_t* panel) noexcept {
  for (const PanelRun* run = runs; run < runs + count; ++run)
    for (int64_t left = run->tiles; left > 0; left -= kRunGroup) {
      const int64_t tiles = left < kRunGroup ? left : kRunGroup;
      for (int64_t t = 0; t < tiles; ++t)
        for (int64_t j = 0; j < kTileBytes; ++j) panel[offsets[t] + j] = 0;
      for (int i = 0; i < run->planes; ++i)
        packed = unpack_plane(packed, planes[run->first_plane + i], offsets, panel);
      offsets += tiles;
    }
}

/// The first 16 slots from `length` to 2 * length coefficients: (a, d) -> (a + d, a - d).
inline void haar_merge(float* z, int length) {
  float even[16], odd[16];
  for (int i = 0; i < length; ++i) {
    even[i] = z[i] + z[length + i];
    odd[i] = z[i] - z[length + i];
  }
  for (int i = 0; i < length; ++i) {
    z[2 * i] = even[i];
    z[2 * i + 1] = odd[i];
  }
}
inline void haar_split(float* z, int length) {
  float sum[16], difference[16];
  for (int i = 0; i < length; ++i) {
    sum[i] = z[2 * i] + z[2 * i + 1];
    difference[i] = z[2 * i] - z[2 * i + 1];
  }
  for (int i = 0; i < length; ++i) {
    z[i] = sum[i];
    z[length + i] = difference[i];
  }
}
/// a, b = a + b, a - b of 16 slots.
inline void butterfly(float* a, float* b) {
  for (int i = 0; i < 16; ++i) {
    const float sum = a[i] + b[i], difference = a[i] - b[i];
    a[i] = sum;
    b[i] = difference;
  }
}
/// z0, z1, z2, z3 = a0 + d0, a0 - d0, a1 + d1, a1 - d1 from z = a0, a1, d0, d1.
inline void last_level(float* z) {
  for (int i = 0; i < 16; ++i) {
    const float a0 = z[i], a1 = z[16 + i], d0 = z[32 + i], d1 = z[48 + i];
    z[i] = a0 + d0;
    z[16 + i] = a0 - d0;
    z[32 + i] = a1 + d1;
    z[48 + i] = a1 - d1;
  }
}
inline void first_level(float* z) {
  for (int i = 0; i < 16; ++i) {
    const float x0 = z[i], x1 = z[16 + i], x2 = z[32 + i], x3 = z[48 + i];
    z[i] = x0 + x1;
    z[16 + i] = x2 + x3;
    z[32 + i] = x0 - x1;
    z[48 + i] = x2 - x3;
  }
}
inline void slots_to_tokens(float* z, int levels) {
  for (int length = 64 >> levels; length < 16; length *= 2) haar_merge(z, length);
  if (levels >= 2) butterfly(z, z + 16);
  if (levels >= 1) last_level(z);
}
inline void tokens_to_slots(float* z, int levels) {
  if (levels >= 1) first_level(z);
  if (levels >= 2) butterfly(z, z + 16);
  for (int length = 8; length >= 64 >> levels; length /= 2) haar_split(z, length);
}

inline void kv_scores(const int32_t* acc, int planes, const float* q_scale, const float* q_sum,
                      const float* scale, const uint8_t* zero, int levels, float* scores, int64_t m,
                      int accumulate) noexcept {
  for (int64_t i = 0; i < m; ++i, acc += 64, scores += 64) {
    const int32_t* low = acc + m * 64;
    float z[64];
    for (int s = 0; s < 64; ++s) {
      const float high = static_cast<float>(acc[s]);
      const float sum = planes == 2 ? 256.0f * high + static_cast<float>(low[s]) : high;
      z[s] = scale[s] * (q_scale[i] * sum - static_cast<float>(zero[s]) * q_sum[i]);
    }
    slots_to_tokens(z, levels);
    for (int s = 0; s < 64; ++s) scores[s] = accumulate ? scores[s] + z[s] : z[s];
  }
}

inline void kv_weights(const float* p, const float* scale, const uint8_t* zero, int levels,
                       int planes, int8_t* codes, float* w_scale, float* w_offset,
                       int64_t m) noexcept {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer
  const float top = planes == 2 ? 32639.0f : 127.0f;
  for (int64_t i = 0; i < m; ++i, p += 64, codes += 64) {
    float z[64], largest = 1e-30f;
    for (int s = 0; s < 64; ++s) z[s] = p[s];
    tokens_to_slots(z, levels);
    for (int s = 0; s < 64; ++s) {
      z[s] *= scale[s];
      const float size = z[s] < 0 ? -z[s] : z[s];
      largest = size > largest ? size : largest;
    }
    const float factor = top / largest;
    float offset = 0;
    for (int s = 0; s < 64; ++s) {
      float code = (z[s] * factor + kRound) - kRound;
      code = code > -top ? code : -top;  // NaN too
      offset += code * static_cast<float>(zero[s]);
      const int32_t value = static_cast<int32_t>(code);
      const int32_t high = planes == 2 ? (value + 128) >> 8 : value;
      codes[s] = static_cast<int8_t>(high);
      if (planes == 2) codes[m * 64 + s] = static_cast<int8_t>(value - 256 * high);
    }
    w_scale[i] = largest / top;
    w_offset[i] = offset * w_scale[i];
  }
}

inline int32_t split_codes(const float* x, int64_t n, float factor, int planes, int8_t* high,
                           int8_t* low) noexcept {
  constexpr float kRound = 12582912.0f;
  const float top = planes == 2 ? 32639.0f : 127.0f;
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    float code = (x[i] * factor + kRound) - kRound;
    code = code > -top ? code : -top;  // NaN too
    code = code < top ? code : top;
    const int32_t value = static_cast<int32_t>(code);
    const int32_t upper = planes == 2 ? (value + 128) >> 8 : value;
    high[i] = static_cast<int8_t>(upper);
    if (planes == 2) low[i] = static_cast<int8_t>(value - 256 * upper);
    sum += value;
  }
  return sum;
}

inline void kv_values(const int32_t* acc, int planes, const float* w_scale, const float* w_offset,
                      float* out, int64_t ldo, int64_t m, int64_t n) noexcept {
  for (int64_t i = 0; i < m; ++i, acc += 64, out += ldo)
    for (int64_t j = 0; j < n; ++j) {
      const float high = static_cast<float>(acc[j]);
      const float sum = planes == 2 ? 256.0f * high + static_cast<float>(acc[m * 64 + j]) : high;
      out[j] += w_scale[i] * sum - w_offset[i];
    }
}

}  // namespace
}  // namespace stamp
