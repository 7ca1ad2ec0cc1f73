// From sums to outputs: the inverse Haar depth first, a vector of columns at a time, in groups of
// eight rows that stay in registers. Needs lanes_<isa>.h.
#include <cstdint>

#include "stamp/kernels/row_constants.h"

namespace stamp {
namespace {

constexpr int64_t kDecodeColumns = 64;
constexpr int kMaxLevels = 32;

enum class Write { kStore, kAdd, kStream };

/// What one row of the transform is multiplied with, the 1 / sqrt 2 of its levels included.
struct RowTerms {
  float scale, offset;
  int32_t start;
};

struct RootPowers {
  float value[kMaxLevels + 1];
  constexpr RootPowers() : value() {
    for (int i = 0; i <= kMaxLevels; ++i)
      value[i] = (i % 2 ? kHalfSqrt2 : 1.0f) / static_cast<float>(int64_t{1} << (i / 2));
  }
};
constexpr RootPowers kRootPowers;

inline RowTerms terms_of(const RowConstants& row, int level, int32_t weight_bias) {
  const float scale = row.scale * kRootPowers.value[level];
  return {scale, -scale * static_cast<float>(row.offset), -weight_bias * row.sum};
}

inline Vec centered(const int32_t* acc, const RowTerms& row) {
  return to_float(add_32(load_int(acc), broadcast_int(row.start)));
}

/// One vector of columns.
template <class Sum>
struct Slice {
  const Sum* acc;
  float* y;
  int64_t ldy;
  Vec column_scale, column_sum, bias;

  Vec real(int64_t i, const RowTerms& row) const { return scaled(acc + i * kDecodeColumns, row); }
  template <Write W>
  void write(int64_t i, Vec value) const {
    float* out = y + i * ldy;
    const Vec result = fma(value, column_scale, bias);
    if constexpr (W == Write::kStream)
      stream(out, result);
    else
      store(out, W == Write::kAdd ? load(out) + result : result);
  }

 private:
  Vec scaled(const int32_t* sums, const RowTerms& row) const {
    return fma(centered(sums, row), broadcast(row.scale), broadcast(row.offset) * column_sum);
  }
  Vec scaled(const float* sums, const RowTerms& row) const {
    return load(sums) * broadcast(row.scale);
  }
};

/// Rows [i, i + 2^L) from their approximation.
template <int L, Write W, class Sum>
inline void unfold(const Slice<Sum>& slice, const RowTerms* terms, int64_t i, Vec a) {
  if constexpr (L == 0) {
    slice.template write<W>(i, a);
  } else {
    constexpr int64_t kHalf = int64_t{1} << (L - 1);
    const Vec d = slice.real(i + kHalf, terms[i + kHalf]);
    unfold<L - 1, W>(slice, terms, i, a + d);
    unfold<L - 1, W>(slice, terms, i + kHalf, a - d);
  }
}

template <class Sum>
struct Panel {
  const Sum* acc;
  const RowConstants* constants;
  int64_t rows;
  int levels;
  int32_t weight_bias;
  const float *column_scale, *column_sum, *bias;
  float* y;
  int64_t ldy;

  RowTerms terms(int64_t row, int level) const {
    if (!constants) return {kRootPowers.value[level], 0, 0};
    return terms_of(constants[row], level, weight_bias);
  }
};

template <class Sum>
inline Slice<Sum> slice_of(const Panel<Sum>& p, int64_t row, int64_t column) {
  return {
      p.acc + row * kDecodeColumns + column, p.y + row * p.ldy + column,  p.ldy,
      load(p.column_scale + column),         load(p.column_sum + column), load(p.bias + column)};
}

/// Runs of 2^L rows, eight rows at a time.
template <int L, Write W, class Sum>
void decode_short_runs(const Panel<Sum>& p) {
  constexpr int64_t kGroup = 8, kRun = int64_t{1} << L;
  for (int64_t first = 0; first < p.rows; first += kGroup) {
    const int64_t count = p.rows - first < kGroup ? p.rows - first : kGroup;
    RowTerms terms[kGroup];
    for (int64_t i = 0; i < count; ++i)
      terms[i] = p.terms(first + i, i % kRun == 0 ? L : __builtin_ctzll(i) + 1);
    for (int64_t c = 0; c < kDecodeColumns; c += kWidth) {
      const Slice<Sum> slice = slice_of(p, first, c);
      for (int64_t i = 0; i < count; i += kRun)
        unfold<L, W>(slice, terms, i, slice.real(i, terms[i]));
    }
  }
}

/// Longer runs in groups of 2^L rows; `right` keeps the approximations of the right halves that are
/// yet to come.
template <int L, Write W, class Sum>
void decode_long_runs(const Panel<Sum>& p) {
  constexpr int64_t kGroup = int64_t{1} << L;
  float right[kMaxLevels][kDecodeColumns];
  const int64_t run = int64_t{1} << p.levels;
  for (int64_t first = 0; first < p.rows; first += kGroup) {
    RowTerms terms[kGroup];
    for (int64_t i = 1; i < kGroup; ++i) terms[i] = p.terms(first + i, __builtin_ctzll(i) + 1);
    const int64_t place = first & (run - 1);
    const int top = place == 0 ? p.levels : __builtin_ctzll(place);
    terms[0] = p.terms(first, p.levels);
    for (int64_t c = 0; c < kDecodeColumns; c += kWidth) {
      const Slice<Sum> slice = slice_of(p, first, c);
      Vec a = place == 0 ? slice.real(0, terms[0]) : load(right[top] + c);
      for (int level = top - 1; level >= L; --level) {
        const int64_t i = int64_t{1} << level;
        const Vec d = slice.real(i, p.terms(first + i, level + 1));
        store(right[level] + c, a - d);
        a = a + d;
      }
      unfold<L, W>(slice, terms, 0, a);
    }
  }
}

template <Write W, class Sum>
void decode_by_levels(const Panel<Sum>& p) {
  if (p.levels == 0) return decode_short_runs<0, W>(p);
  if (p.levels == 1) return decode_short_runs<1, W>(p);
  if (p.levels == 2) return decode_short_runs<2, W>(p);
  decode_long_runs<3, W>(p);
}

template <class Sum>
void decode(const Panel<Sum>& p, int add, int past_caches) {
  if (add) return decode_by_levels<Write::kAdd>(p);
  const bool aligned = reinterpret_cast<uintptr_t>(p.y) % 64 == 0 &&
                       p.ldy * static_cast<int64_t>(sizeof(float)) % 64 == 0;
  if (!past_caches || !aligned) return decode_by_levels<Write::kStore>(p);
  decode_by_levels<Write::kStream>(p);
  if (past_caches != kMoreStreams) finish_streams();
}

void decode_s32(const int32_t* acc, const RowConstants* constants, int64_t rows, int levels,
                int32_t weight_bias, const float* column_scale, const float* column_sum,
                const float* bias, float* y, int64_t ldy, int add, int past_caches) noexcept {
  decode<int32_t>(
      {acc, constants, rows, levels, weight_bias, column_scale, column_sum, bias, y, ldy}, add,
      past_caches);
}

void decode_f32(const float* acc, int64_t rows, int levels, const float* bias, float* y,
                int64_t ldy, int add, int past_caches) noexcept {
  float ones[kDecodeColumns];
  for (float& one : ones) one = 1;
  decode<float>({acc, nullptr, rows, levels, 0, ones, ones, bias, y, ldy}, add, past_caches);
}

/// Four vectors of columns.
template <bool kAccumulates>
void add_scaled_columns(const int32_t* acc, const RowConstants* constants, int64_t rows,
                        int32_t weight_bias, const float* column_scale, const int32_t* column_sum,
                        float* out) {
  constexpr int kVectors = 4;
  Vec scale[kVectors], sum[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    scale[v] = load(column_scale + v * kWidth);
    sum[v] = to_float(load_int(column_sum + v * kWidth));
  }
  for (int64_t i = 0; i < rows; ++i, acc += kDecodeColumns, out += kDecodeColumns) {
    const RowConstants& row = constants[i];
    const auto start = broadcast_int(-weight_bias * row.sum);
    const Vec offset = broadcast(-static_cast<float>(row.offset)), factor = broadcast(row.scale);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Vec x = to_float(add_32(load_int(acc + v * kWidth), start));
      const Vec y = fma(offset, sum[v], x) * scale[v];
      float* at = out + v * kWidth;
      store(at, kAccumulates ? fma(y, factor, load(at)) : y * factor);
    }
  }
}

template <bool kAccumulates>
void add_scaled_s32(const int32_t* acc, const RowConstants* constants, int64_t rows,
                    int32_t weight_bias, const float* column_scale, const int32_t* column_sum,
                    float* out) {
  for (int64_t c = 0; c < kDecodeColumns; c += 4 * kWidth)
    add_scaled_columns<kAccumulates>(acc + c, constants, rows, weight_bias, column_scale + c,
                                     column_sum + c, out + c);
}

void add_scaled_s32(const int32_t* acc, const RowConstants* constants, int64_t rows,
                    int32_t weight_bias, const float* column_scale, const int32_t* column_sum,
                    float* out, int accumulate) noexcept {
  if (accumulate)
    add_scaled_s32<true>(acc, constants, rows, weight_bias, column_scale, column_sum, out);
  else
    add_scaled_s32<false>(acc, constants, rows, weight_bias, column_scale, column_sum, out);
}

}  // namespace
}  // namespace stamp
