// Attention (causal or full) with grouped key/value heads, forward and backward, head size 64.
// q: [batch][heads][length][64]; k, v: [batch][kv_heads][length][64]; out:
// [batch][length][heads][64].
#include <vector>

#include "half.h"

namespace {

constexpr int kSize = 64,
              kBlock = 120;       // head size; queries whose probabilities are kept at a time
constexpr float kScale = 0.125f;  // 1 / sqrt(kSize), applied to the queries

long padded(long n) { return (n + kCols - 1) / kCols * kCols; }

// One key or value head as fp16, as it is ([key][64]) and transposed ([panel][64][key]).
struct Head {
  std::vector<float> rows;
  std::vector<uint16_t> plain, turned;
  void load(const float* data, long length, bool want_plain, bool want_turned) {
    long n = padded(length);
    rows.assign(n * kSize, 0);
    std::copy(data, data + length * kSize, rows.begin());
    if (want_plain) {
      plain.resize(n * kSize);
      pack_b({rows.data(), kSize, 1}, 0, (int)n, 0, 1, plain.data());
    }
    if (want_turned) {
      turned.resize(n * kSize);
      for (long p = 0; p < n; p += kCols)
        pack_b({rows.data(), 1, kSize}, 0, kSize, p, 1, turned.data() + p * kSize);
    }
  }
};

struct Panel {
  alignas(64) uint32_t data[kDepth * 16 + 256];
};

// out[r][0..keys) = rows of x (times scale) * turned
void scores(const float* x, long pitch, int rows, float scale, const Head& head, long keys,
            Panel& panel, float* out, long width) {
  pack_rows({x, pitch, 1}, 0, rows, 0, kSize, scale, panel.data);
  for (long p = 0; p < keys; p += kCols)
    kernel<kRowPitch, 1>(panel.data, head.turned.data() + p * kSize, kSize, out + p, width);
}

// tile (12 x 64) = x[rows][keys] * plain
void mix(const float* x, long width, int rows, const Head& head, long keys, Panel& panel,
         float* tile) {
  alignas(64) float part[kRows * kSize];
  for (long k = 0; k < keys; k += kDepth) {
    int depth = (int)std::min<long>(kDepth, keys - k);
    pack_rows({x, width, 1}, 0, rows, k, depth, 1, panel.data);
    kernel<kRowPitch, 1>(panel.data, head.plain.data() + k * kSize, depth, k ? part : tile);
    if (k)
      for (int i = 0; i < kRows * kSize; ++i) tile[i] += part[i];
  }
}

// Turns a row of scores into unnormalised probabilities; returns log(sum exp) and the sum.
float softmax_row(float* row, long valid, long width, float* sum_out) {
  for (long j = valid; j < width; ++j) row[j] = -1e30f;
  __m512 top = _mm512_set1_ps(-1e30f), sum = _mm512_setzero_ps();
  for (long j = 0; j < width; j += 16) top = _mm512_max_ps(top, _mm512_loadu_ps(row + j));
  float highest = _mm512_reduce_max_ps(top);
  top = _mm512_set1_ps(highest);
  for (long j = 0; j < width; j += 16) {
    __m512 e = exp16(_mm512_sub_ps(_mm512_loadu_ps(row + j), top));
    sum = _mm512_add_ps(sum, e);
    _mm512_storeu_ps(row + j, e);
  }
  for (long j = valid; j < width; ++j) row[j] = 0;
  *sum_out = _mm512_reduce_add_ps(sum);
  return highest + std::log(*sum_out);
}

// From scores s and dP (in d): s becomes P, d becomes dS.
void gradient_row(float* s, float* d, long valid, long width, float log_sum, float delta) {
  __m512 l = _mm512_set1_ps(log_sum), e = _mm512_set1_ps(delta);
  for (long j = 0; j < width; j += 16) {
    __mmask16 m = valid - j >= 16 ? 0xffff : valid > j ? (1 << (valid - j)) - 1 : 0;
    if (!m) {
      _mm512_storeu_ps(s + j, _mm512_setzero_ps());
      _mm512_storeu_ps(d + j, _mm512_setzero_ps());
      continue;
    }
    __m512 p = _mm512_maskz_mov_ps(m, exp16(_mm512_sub_ps(_mm512_loadu_ps(s + j), l)));
    _mm512_storeu_ps(s + j, p);
    _mm512_storeu_ps(d + j, _mm512_maskz_mul_ps(m, p, _mm512_sub_ps(_mm512_loadu_ps(d + j), e)));
  }
}

// out[keys][64] += x^T * b, where x is [queries][keys] and b the packed [queries][64]
void scatter(const float* x, long width, int queries, long keys, const uint16_t* b, float scale,
             Panel& panel, float* out) {
  alignas(64) float tile[kRows * kSize];
  for (long k = 0; k < keys; k += kRows) {
    int rows = (int)std::min<long>(kRows, keys - k);
    pack_columns({x, 1, width}, k, rows, 0, queries, 1, panel.data);
    kernel<1, 16>(panel.data, b, queries, tile);
    for (int i = 0; i < rows * kSize; ++i) out[k * kSize + i] += tile[i] * scale;
  }
}

}  // namespace

extern "C" void attention_forward(long batch, long heads, long kv_heads, long length, int causal,
                                  const float* q, const float* k, const float* v, float* out,
                                  float* log_sums) {
  long group = heads / kv_heads, width = padded(length);
#pragma omp parallel
  {
    Head keys, values;
    Panel panel;
    std::vector<float> s(kRows * width);
    alignas(64) float tile[kRows * kSize];
#pragma omp for schedule(dynamic)
    for (long task = 0; task < batch * kv_heads; ++task) {
      keys.load(k + task * length * kSize, length, false, true);
      values.load(v + task * length * kSize, length, true, false);
      long b = task / kv_heads, first = task % kv_heads * group;
      for (long h = first; h < first + group; ++h)
        for (long i = 0; i < length; i += kRows) {
          int rows = (int)std::min<long>(kRows, length - i);
          long used = causal ? padded(i + rows) : width, base = (b * heads + h) * length + i;
          scores(q + base * kSize, kSize, rows, kScale, keys, used, panel, s.data(), width);
          float sums[kRows];
          for (int r = 0; r < rows; ++r)
            log_sums[base + r] =
                softmax_row(s.data() + r * width, causal ? i + r + 1 : length, used, sums + r);
          mix(s.data(), width, rows, values, used, panel, tile);
          for (int r = 0; r < rows; ++r)
            for (int c = 0; c < kSize; ++c)
              out[((b * length + i + r) * heads + h) * kSize + c] = tile[r * kSize + c] / sums[r];
        }
    }
  }
}

extern "C" void attention_backward(long batch, long heads, long kv_heads, long length, int causal,
                                   const float* q, const float* k, const float* v, const float* out,
                                   const float* log_sums, const float* gradient, float* q_gradient,
                                   float* k_gradient, float* v_gradient) {
  long group = heads / kv_heads, width = padded(length), pitch = heads * kSize;
  float up = scale_of(gradient, batch * length, pitch, pitch) / 8, down = 1 / up;
#pragma omp parallel
  {
    Head keys, values;
    Panel panel;
    std::vector<float> p((kBlock + kRows) * width), d((kBlock + kRows) * width);
    std::vector<uint16_t> q_packed(kBlock * kSize), g_packed(kBlock * kSize);
    alignas(64) float tile[kRows * kSize];
#pragma omp for schedule(dynamic)
    for (long task = 0; task < batch * kv_heads; ++task) {
      keys.load(k + task * length * kSize, length, true, true);
      values.load(v + task * length * kSize, length, false, true);
      float *dk = k_gradient + task * length * kSize, *dv = v_gradient + task * length * kSize;
      std::fill(dk, dk + length * kSize, 0.0f);
      std::fill(dv, dv + length * kSize, 0.0f);
      long b = task / kv_heads, first = task % kv_heads * group;
      for (long h = first; h < first + group; ++h)
        for (long start = 0; start < length; start += kBlock) {
          int queries = (int)std::min<long>(kBlock, length - start);
          long valid = causal ? start + queries : length;
          long used = padded(valid), base = (b * heads + h) * length + start;
          const float* g = gradient + ((b * length + start) * heads + h) * kSize;
          const float* o = out + ((b * length + start) * heads + h) * kSize;
          for (int i = 0; i < queries; i += kRows) {
            int rows = std::min(kRows, queries - i);
            float *pi = p.data() + i * width, *di = d.data() + i * width;
            long seen = causal ? padded(start + i + rows) : used;
            scores(q + (base + i) * kSize, kSize, rows, kScale, keys, seen, panel, pi, width);
            scores(g + i * pitch, pitch, rows, up, values, seen, panel, di, width);
            for (int r = 0; r < rows; ++r) {
              float delta = 0;
              for (int c = 0; c < kSize; ++c)
                delta += g[(i + r) * pitch + c] * o[(i + r) * pitch + c];
              gradient_row(pi + r * width, di + r * width, causal ? start + i + r + 1 : length,
                           used, log_sums[base + i + r], delta * up);
            }
            mix(di, width, rows, keys, seen, panel, tile);
            for (int c = 0; c < rows * kSize; ++c)
              q_gradient[(base + i) * kSize + c] = tile[c] * (kScale * down);
          }
          pack_b({q + base * kSize, kSize, 1}, 0, queries, 0, kScale, q_packed.data());
          pack_b({g, pitch, 1}, 0, queries, 0, up, g_packed.data());
          scatter(d.data(), width, queries, valid, q_packed.data(), down, panel, dk);
          scatter(p.data(), width, queries, valid, g_packed.data(), down, panel, dv);
        }
    }
  }
}
