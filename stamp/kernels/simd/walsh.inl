// The Walsh transform in passes of as many stages as registers hold. Needs lanes_<isa>.h.
#include <cstdint>

namespace stamp {
namespace {

/// Stages at distances 1, 2, ..., R / 2 between the vectors.
template <int R>
inline void walsh_vectors(Vec (&v)[R]) {
#pragma GCC unroll 16
  for (int half = 1; half < R; half *= 2) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      if (i & half) continue;
      const Vec a = v[i], b = v[i + half];
      v[i] = a + b;
      v[i + half] = a - b;
    }
  }
}

template <bool Last>
inline Vec scaled(Vec x, Vec factor) {
  return Last ? x * factor : x;
}

/// The stages within groups of R neighbouring vectors; the last pass scales.
template <int R, bool Last>
void walsh_first(const float* x, float* y, int64_t n, float scale) {
  const Vec factor = broadcast(scale);
  for (int64_t first = 0; first < n; first += R * kWidth) {
    Vec v[R];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) v[i] = walsh_vector(load(x + first + i * kWidth));
    walsh_vectors(v);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) store(y + first + i * kWidth, scaled<Last>(v[i], factor));
  }
}

/// The stages at distances `step`, 2 step, ..., R / 2 * step.
template <int R, bool Last>
void walsh_next(float* y, int64_t n, int64_t step, float scale) {
  const Vec factor = broadcast(scale);
  for (int64_t block = 0; block < n; block += R * step)
    for (int64_t c = block; c < block + step; c += kWidth) {
      Vec v[R];
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) v[i] = load(y + c + i * step);
      walsh_vectors(v);
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) store(y + c + i * step, scaled<Last>(v[i], factor));
    }
}

void walsh_small(const float* x, float* y, int64_t n, float scale) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i];
  for (int64_t half = 1; half < n; half *= 2)
    for (int64_t i = 0; i < n; ++i) {
      if (i & half) continue;
      const float a = y[i], b = y[i + half];
      y[i] = a + b;
      y[i + half] = a - b;
    }
  for (int64_t i = 0; i < n; ++i) y[i] *= scale;
}

/// Calls body<R> for R = min(vectors, kWalshVectors).
template <class Body>
inline int64_t with_radix(int64_t vectors, Body&& body) {
  if (kWalshVectors >= 16 && vectors >= 16) return body.template operator()<kWalshVectors>(), 16;
  if (vectors >= 8) return body.template operator()<8>(), 8;
  if (vectors >= 4) return body.template operator()<4>(), 4;
  if (vectors >= 2) return body.template operator()<2>(), 2;
  return body.template operator()<1>(), 1;
}

void walsh(const float* x, float* y, int64_t n, float scale) noexcept {
  if (n < kWidth) return walsh_small(x, y, n, scale);
  const int64_t groups = with_radix(n / kWidth, [&]<int R>() {
    const bool last = R * kWidth >= n;
    last ? walsh_first<R, true>(x, y, n, scale) : walsh_first<R, false>(x, y, n, scale);
  });
  for (int64_t step = groups * kWidth; step < n;)
    step *= with_radix(n / step, [&]<int R>() {
      const bool last = R * step >= n;
      last ? walsh_next<R, true>(y, n, step, scale) : walsh_next<R, false>(y, n, step, scale);
    });
}

}  // namespace
}  // namespace stamp
