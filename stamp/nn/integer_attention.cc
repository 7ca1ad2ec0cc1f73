#include "stamp/nn/integer_attention.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "stamp/core/parallel.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr int64_t kQueries = 64, kKeys = 128;  // of a tile: its sums and outputs stay in L1 and L2
constexpr float kTopCode = 127.0f;
constexpr int kQueryOffset = 128;  // panels hold unsigned bytes
constexpr float kSmallest = 1e-30f;

int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

struct Codes {
  float scale;
  int32_t sum;
};
/// n values as signed bytes, x ~ scale * code.
Codes quantize(const float* x, int64_t n, int8_t* codes) {
  float low, high;
  kernels().min_max(x, n, &low, &high);
  const float largest = std::max(std::max(-low, high), kSmallest);
  const int32_t sum =
      kernels().quantize_s8(x, codes, n, kTopCode / largest, -kTopCode, kTopCode, 0);
  return {largest / kTopCode, sum};
}

std::vector<float> column_means(ConstFloatView x) {
  std::vector<float> mean(static_cast<size_t>(x.cols));
  parallel_ranges(x.cols, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < x.rows; ++i)
      for (int64_t j = begin; j < end; ++j) mean[static_cast<size_t>(j)] += x(i, j);
    for (int64_t j = begin; j < end; ++j)
      mean[static_cast<size_t>(j)] /= static_cast<float>(x.rows);
  });
  return mean;
}

/// Keys and values of all kv heads as codes, tile by tile: keys [kKeys][padded head_dim], values
/// transposed [head_dim][kKeys].
class CodedTiles {
 public:
  CodedTiles(ConstFloatView k, ConstFloatView v, const FullAttention& o)
      : rows_(k.rows),
        dim_(o.head_dim),
        padded_(round_up(o.head_dim, 4)),
        tiles_((k.rows + kKeys - 1) / kKeys),
        keys_(o.kv_heads * tiles_ * kKeys * padded_),
        values_(o.kv_heads * tiles_ * kKeys * dim_),
        key_scale_(o.kv_heads * tiles_, kKeys),
        key_offset_(o.kv_heads * tiles_, kKeys),
        value_scale_(o.kv_heads * tiles_, dim_) {
    const std::vector<float> mean = column_means(k);
    parallel_for(o.kv_heads * tiles_, [&](int64_t i) {
      const int64_t column = i / tiles_ * dim_;
      code_keys(i, k.cols_from(column, dim_), mean.data() + column);
      code_values(i, v.cols_from(column, dim_));
    });
  }

  struct Tile {
    const int8_t *keys, *values;
    const float *key_scale, *key_offset, *value_scale;
    int64_t count;  // of tokens
  };
  Tile tile(int64_t head, int64_t index) const {
    const int64_t i = head * tiles_ + index;
    return {keys(i), values(i), key_scale_.row(i), key_offset_.row(i), value_scale_.row(i),
            count(i)};
  }
  int64_t tiles() const { return tiles_; }
  int64_t padded_dim() const { return padded_; }

 private:
  int8_t* keys(int64_t i) const { return static_cast<int8_t*>(keys_.data()) + i * kKeys * padded_; }
  int8_t* values(int64_t i) const {
    return static_cast<int8_t*>(values_.data()) + i * kKeys * dim_;
  }
  int64_t count(int64_t i) const { return std::min(kKeys, rows_ - i % tiles_ * kKeys); }

  void code_keys(int64_t i, ConstFloatView k, const float* mean) {
    std::vector<float> row(static_cast<size_t>(padded_));
    for (int64_t t = 0; t < count(i); ++t) {
      const float* x = k.row(i % tiles_ * kKeys + t);
      for (int64_t j = 0; j < dim_; ++j) row[static_cast<size_t>(j)] = x[j] - mean[j];
      const auto [scale, sum] = quantize(row.data(), padded_, keys(i) + t * padded_);
      key_scale_(i, t) = scale;
      key_offset_(i, t) = -scale * static_cast<float>(kQueryOffset * sum);
    }
  }

  /// Codes of tokens that are padding meet probabilities of zero.
  void code_values(int64_t i, ConstFloatView v) {
    Matrix transposed = Matrix::zeros(dim_, kKeys);
    kernels().transpose_f32(v.row(i % tiles_ * kKeys), v.stride, transposed.data(), kKeys, count(i),
                            dim_);
    for (int64_t j = 0; j < dim_; ++j)
      value_scale_(i, j) = quantize(transposed.row(j), kKeys, values(i) + j * kKeys).scale;
  }

  int64_t rows_, dim_, padded_, tiles_;
  AlignedBuffer keys_, values_;
  Matrix key_scale_, key_offset_, value_scale_;
};

/// Up to kQueries queries of one head: a byte panel, a column each, and their softmax so far.
class QueryColumns {
 public:
  QueryColumns(ConstFloatView q, float scale, int64_t padded_dim)
      : dim_(q.cols),
        padded_(padded_dim),
        panel_(static_cast<size_t>(padded_ * kQueries), kQueryOffset),
        codes_(static_cast<size_t>(kKeys * kQueries)),
        sums_(static_cast<size_t>(std::max(kKeys, dim_) * kQueries)),
        out_(Matrix::zeros(dim_, kQueries)) {
    std::vector<float> row(static_cast<size_t>(padded_));
    std::vector<int8_t> codes(row.size());
    for (int64_t i = 0; i < q.rows; ++i) {
      std::copy_n(q.row(i), dim_, row.data());
      scale_[i] = scale * quantize(row.data(), padded_, codes.data()).scale;
      for (int64_t j = 0; j < padded_; ++j)
        panel_[static_cast<size_t>(j / 4 * 4 * kQueries + 4 * i + j % 4)] =
            static_cast<uint8_t>(codes[static_cast<size_t>(j)] + kQueryOffset);
    }
    std::fill_n(peak_, kQueries, -std::numeric_limits<float>::infinity());
  }

  void attend(const CodedTiles::Tile& tile) {
    const KernelTable& kernel = kernels();
    kernel.gemm_s8u8(tile.keys, padded_, panel_.data(), sums_.data(), kQueries, tile.count, padded_,
                     nullptr, 255, 0);
    kernel.softmax_columns(sums_.data(), tile.count, tile.key_scale, tile.key_offset, scale_,
                           codes_.data(), peak_, sum_, shrink_, weight_);
    kernel.gemm_s8u8(tile.values, kKeys, codes_.data(), sums_.data(), kQueries, dim_,
                     round_up(tile.count, 4), nullptr, 255, 0);
    kernel.add_columns(sums_.data(), dim_, tile.value_scale, shrink_, weight_, out_.data());
  }

  void write(FloatView out) const {
    Matrix rows(kQueries, dim_);
    kernels().transpose_f32(out_.data(), kQueries, rows.data(), dim_, dim_, kQueries);
    for (int64_t i = 0; i < out.rows; ++i)
      for (int64_t j = 0; j < dim_; ++j) out(i, j) = rows(i, j) / sum_[i];
  }

 private:
  int64_t dim_, padded_;
  std::vector<uint8_t> panel_, codes_;
  std::vector<int32_t> sums_;
  Matrix out_;  // [head_dim, kQueries]
  float scale_[kQueries] = {}, peak_[kQueries], sum_[kQueries] = {};
  float shrink_[kQueries], weight_[kQueries];
};

}  // namespace

void integer_attention(ConstFloatView q, ConstFloatView k, ConstFloatView v, const FullAttention& o,
                       FloatView out) {
  const CodedTiles tiles(k, v, o);
  const int64_t parts = (q.rows + kQueries - 1) / kQueries;
  parallel_for(o.heads * parts, [&](int64_t i) {
    const int64_t head = i / parts, first = i % parts * kQueries;
    const int64_t count = std::min(kQueries, q.rows - first), column = head * o.head_dim;
    QueryColumns queries(q.rows_from(first, count).cols_from(column, o.head_dim), o.scale,
                         tiles.padded_dim());
    for (int64_t t = 0; t < tiles.tiles(); ++t)
      queries.attend(tiles.tile(head / (o.heads / o.kv_heads), t));
    queries.write(out.rows_from(first, count).cols_from(column, o.head_dim));
  });
}

}  // namespace stamp
