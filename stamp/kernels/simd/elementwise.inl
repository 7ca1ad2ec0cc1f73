// Conversions, exponentials, norms. Included once per instruction set, after the vector type.
#include <cstdint>

namespace stamp {
namespace {

/// exp(x) for x <= 88; 0 below -87. x = n ln 2 + r with |r| <= ln 2 / 2, then the Taylor series to
/// r^6 (its rest is below 1.2e-7) times 2^n.
inline Vec exp_vec(Vec x) {
  const Vec t = min(broadcast(88.0f), max(broadcast(-87.0f), x));
  const IntVec n = round_to_int(t * broadcast(1.44269504f));
  const Vec whole = to_float(n);
  // ln 2 in two parts; the product with the upper one (9 bits) is exact.
  Vec r = fma(whole, broadcast(-0.693359375f), t);
  r = fma(whole, broadcast(2.12194440e-4f), r);
  Vec p = broadcast(1.0f / 720);
  p = fma(p, r, broadcast(1.0f / 120));
  p = fma(p, r, broadcast(1.0f / 24));
  p = fma(p, r, broadcast(1.0f / 6));
  p = fma(p, r, broadcast(0.5f));
  p = fma(p, r, broadcast(1.0f));
  p = fma(p, r, broadcast(1.0f));
  return zero_below(p * power_of_two(n), x, broadcast(-87.0f));
}

float exp_scaled(float* x, int64_t n, float scale, float shift) noexcept {
  const Vec factor = broadcast(scale), offset = broadcast(-shift);
  Vec total = zero();
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const Vec y = exp_vec(fma(load(x + i), factor, offset));
    store(x + i, y);
    total = total + y;
  }
  if (const int64_t rest = n - i; rest > 0) {
    const Vec y = select(rest, exp_vec(fma(load(x + i, rest), factor, offset)), zero());
    store(x + i, y, rest);
    total = total + y;
  }
  return sum(total);
}

float max_f32(const float* x, int64_t n) noexcept {
  Vec best = broadcast(x[0]);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) best = max(best, load(x + i));
  if (const int64_t rest = n - i; rest > 0) best = max(best, select(rest, load(x + i, rest), best));
  return largest(best);
}

inline Vec silu_mul_vec(Vec gate, Vec up) {
  return gate / (broadcast(1.0f) + exp_vec(zero() - gate)) * up;
}

void silu_mul(const float* gate, const float* up, float* y, int64_t n) noexcept {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, silu_mul_vec(load(gate + i), load(up + i)));
  if (const int64_t rest = n - i; rest > 0)
    store(y + i, silu_mul_vec(load(gate + i, rest), load(up + i, rest)), rest);
}

void rms_norm(const float* x, const float* weight, float eps, float* y, int64_t n) noexcept {
  Vec even = zero(), odd = zero();
  int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    const Vec a = load(x + i), b = load(x + i + kWidth);
    even = fma(a, a, even);
    odd = fma(b, b, odd);
  }
  for (; i < n; i += kWidth) {
    const Vec a = n - i < kWidth ? load(x + i, n - i) : load(x + i);
    even = fma(a, a, even);
  }
  const float mean = sum(even + odd) / static_cast<float>(n);
  const Vec factor = broadcast(1.0f / __builtin_sqrtf(mean + eps));
  for (i = 0; i + kWidth <= n; i += kWidth) store(y + i, load(x + i) * factor * load(weight + i));
  if (const int64_t rest = n - i; rest > 0)
    store(y + i, load(x + i, rest) * factor * load(weight + i, rest), rest);
}

/// x / (1 + exp(-2 u)); where x is far below zero the exponential is cut off at exp(88), as good as
/// infinity.
inline Vec gelu_vec(Vec x) {
  const Vec cubic = fma(broadcast(0.044715f) * x * x, x, x);
  return x / (broadcast(1.0f) + exp_vec(broadcast(-2 * 0.79788456080286536f) * cubic));
}

void gelu_mul(const float* gate, const float* up, float* y, int64_t n) noexcept {
  const Vec one = broadcast(1.0f);
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth)
    store(y + i, gelu_vec(load(gate + i)) * (up ? load(up + i) : one));
  if (const int64_t rest = n - i; rest > 0)
    store(y + i, gelu_vec(load(gate + i, rest)) * (up ? load(up + i, rest) : one), rest);
}

void layer_norm(const float* x, const float* scale, const float* shift, float eps, float* y,
                int64_t n) noexcept {
  Vec even = zero(), odd = zero();
  int64_t i = 0;
  for (; i + 2 * kWidth <= n; i += 2 * kWidth) {
    even = even + load(x + i);
    odd = odd + load(x + i + kWidth);
  }
  for (; i < n; i += kWidth) even = even + (n - i < kWidth ? load(x + i, n - i) : load(x + i));
  const Vec mean = broadcast(sum(even + odd) / static_cast<float>(n));
  Vec squares = zero();
  for (i = 0; i + kWidth <= n; i += kWidth) {
    const Vec d = load(x + i) - mean;
    squares = fma(d, d, squares);
  }
  if (const int64_t rest = n - i; rest > 0) {
    const Vec d = select(rest, load(x + i, rest) - mean, zero());
    squares = fma(d, d, squares);
  }
  const float variance = sum(squares) / static_cast<float>(n);
  const Vec factor = broadcast(1.0f / __builtin_sqrtf(variance + eps));
  for (i = 0; i + kWidth <= n; i += kWidth)
    store(y + i, fma((load(x + i) - mean) * factor, load(scale + i), load(shift + i)));
  if (const int64_t rest = n - i; rest > 0)
    store(y + i,
          fma((load(x + i, rest) - mean) * factor, load(scale + i, rest), load(shift + i, rest)),
          rest);
}

void to_bf16(const float* x, uint16_t* y, int64_t n) noexcept {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) narrow_bf16(y + i, load(x + i));
  if (i < n) {
    uint16_t buffer[kWidth];
    narrow_bf16(buffer, load(x + i, n - i));
    for (int64_t j = i; j < n; ++j) y[j] = buffer[j - i];
  }
}

template <class Load>
void widen(const uint16_t* x, float* y, int64_t n) noexcept {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, Load::full(x + i));
  if (i < n) store(y + i, Load::part(x + i, n - i), n - i);
}

}  // namespace
}  // namespace stamp
