// Softmax of columns of scores, a lane per query. Included once per instruction set, after
// running_softmax.inl.
#include <cstdint>

namespace stamp {
namespace {

constexpr int64_t kColumns = 64;

/// One vector of columns of a tile, [m, 64].
struct ColumnTile {
  int32_t* acc;
  int64_t m;
  const float *row_scale, *row_offset;

  float* scores(int64_t i) const { return reinterpret_cast<float*>(acc) + i * kColumns; }
};

/// Scores in the place of sums; returns the largest. Two running maxima hide the latency.
inline Vec score_columns(const ColumnTile& tile) {
  const auto score = [&](int64_t i) {
    const Vec x = fma(to_float(load_int(tile.acc + i * kColumns)), broadcast(tile.row_scale[i]),
                      broadcast(tile.row_offset[i]));
    store(tile.scores(i), x);
    return x;
  };
  Vec even = score(0), odd = even;
  int64_t i = 1;
  for (; i + 2 <= tile.m; i += 2) {
    odd = max(odd, score(i));
    even = max(even, score(i + 1));
  }
  if (i < tile.m) odd = max(odd, score(i));
  return max(even, odd);
}

/// 255 2^t rounded to an integer. 2^23 has no room for fractions.
inline Vec exp2_code(Vec t) {
  const Vec magic = broadcast(12582912.0f);
  return fma(exp2_negative(t), broadcast(255.0f), magic) - magic;
}

/// Four codes as the bytes of a lane.
inline IntVec pack_codes(Vec a, Vec b, Vec c, Vec d) {
  const Vec step = broadcast(256.0f);
  return add_32(round_to_int(fma(b, step, a)), upper_half(round_to_int(fma(d, step, c))));
}

/// Codes of all rows relative to `shift` = top * factor; returns their sum.
inline Vec code_columns(const ColumnTile& tile, Vec factor, Vec shift, uint8_t* codes) {
  const auto code = [&](int64_t i) {
    return exp2_code(fma(load(tile.scores(i)), factor, zero() - shift));
  };
  Vec total = zero();
  int64_t i = 0;
  for (; i + 4 <= tile.m; i += 4) {
    const Vec a = code(i), b = code(i + 1), c = code(i + 2), d = code(i + 3);
    total = total + ((a + b) + (c + d));
    store_int(codes + i * kColumns, pack_codes(a, b, c, d));
  }
  if (const int64_t rest = tile.m - i; rest > 0) {
    const Vec a = code(i), b = rest > 1 ? code(i + 1) : zero(), c = rest > 2 ? code(i + 2) : zero();
    total = total + ((a + b) + c);
    store_int(codes + i * kColumns, pack_codes(a, b, c, zero()));
  }
  return total;
}

void softmax_columns(int32_t* acc, int64_t m, const float* row_scale, const float* row_offset,
                     const float* column_scale, uint8_t* codes, float* peak, float* sum,
                     float* shrink, float* weight) noexcept {
  for (int64_t j = 0; j < kColumns; j += kWidth) {
    const ColumnTile tile{acc + j, m, row_scale, row_offset};
    const Vec scale = load(column_scale + j), factor = scale * broadcast(kLog2E);
    const Vec best = score_columns(tile);
    const Vec total = code_columns(tile, factor, best * factor, codes + 4 * j);
    const Vec top = best * scale, old = load(peak + j), larger = max(top, old);
    const Vec keep = exp_vec(old - larger), take = exp_vec(top - larger);
    store(peak + j, larger);
    store(shrink + j, keep);
    store(weight + j, take);
    store(sum + j, fma(load(sum + j), keep, take * total));
  }
}

void add_columns(const int32_t* acc, int64_t m, const float* row_scale, const float* shrink,
                 const float* weight, float* out) noexcept {
  constexpr int64_t kVectors = kColumns / kWidth;
  for (int64_t i = 0; i < m; ++i, acc += kColumns, out += kColumns) {
    const Vec scale = broadcast(row_scale[i]);
    for (int64_t v = 0; v < kVectors; ++v) {
      const int64_t j = v * kWidth;
      const Vec added = to_float(load_int(acc + j)) * (load(weight + j) * scale);
      store(out + j, fma(load(out + j), load(shrink + j), added));
    }
  }
}

}  // namespace
}  // namespace stamp
