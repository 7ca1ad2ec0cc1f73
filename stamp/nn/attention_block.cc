#include "stamp/nn/attention_block.h"

#include <algorithm>
#include <cstring>

#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

constexpr int64_t kSlots = kKvBlockTokens;
constexpr float kSmallest = 1e-30f;

/// Where token `token` of a block is among scores and probabilities.
int64_t token_slot(int64_t token) { return token % 4 * 16 + token / 4; }

float top_code(int planes) { return planes == 2 ? 32639.0f : 127.0f; }

/// Largest magnitude, and NaN where a value is not finite (else 0).
struct Magnitude {
  float largest = kSmallest, taint = 0;
};
Magnitude magnitude(const float* x, int64_t count) {
  float largest = kSmallest, taint = 0;
#pragma omp simd reduction(max : largest) reduction(+ : taint)
  for (int64_t i = 0; i < count; ++i) {
    const float size = x[i] < 0 ? -x[i] : x[i];
    largest = size > largest ? size : largest;
    taint += 0.0f * x[i];
  }
  return {largest, taint};
}

/// Scale groups of a head as (index, first column, columns).
template <class Body>
void for_each_group(const KvPartLayout& part, Body&& body) {
  for (int64_t g = 0; g < part.groups; ++g)
    body(g, g * part.group, std::min(part.group, part.head_dim - g * part.group));
}

/// Fetches memory a piece at a time: a burst of more lines than a core has fill buffers stalls it.
class Prefetch {
 public:
  Prefetch(const uint8_t* p, int64_t bytes, int64_t pieces)
      : at_(p), end_(p ? p + bytes : p), piece_((bytes / pieces + 64) / 64 * 64) {}
  void piece() {
    for (const uint8_t* const end = at_ + std::min(piece_, end_ - at_); at_ < end; at_ += 64)
      __builtin_prefetch(at_);
    at_ = std::min(at_, end_);
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
  int64_t piece_;
};

}  // namespace

QueryCodes quantize_queries(ConstFloatView q, const KvPartLayout& keys, int planes) {
  const int64_t rows = q.rows, dim = q.cols;
  QueryCodes result{.planes = planes,
                    .codes = AlignedBuffer(planes * rows * dim),
                    .scale = std::vector<float>(static_cast<size_t>(rows)),
                    .sum = std::vector<float>(static_cast<size_t>(rows * keys.groups))};
  auto* codes = static_cast<int8_t*>(result.codes.data());
  const KernelTable& kernel = kernels();
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t chunk = r / kQueryChunk * kQueryChunk;
    const int64_t count = std::min(kQueryChunk, rows - chunk);
    int8_t* high = codes + (chunk * planes + r - chunk) * dim;
    int8_t* low = high + count * dim;
    const auto [largest, taint] = magnitude(q.row(r), dim);
    const float scale = largest / top_code(planes) + taint;
    result.scale[static_cast<size_t>(r)] = scale;
    for_each_group(keys, [&](int64_t g, int64_t first, int64_t width) {
      const int32_t sum = kernel.split_codes(q.row(r) + first, width, top_code(planes) / largest,
                                             planes, high + first, low + first);
      result.sum[static_cast<size_t>(g * rows + r)] = scale * static_cast<float>(sum);
    });
  }
  return result;
}

BlockAttention::BlockAttention(int64_t head_dim, int planes, const KvHeadLayout& layout)
    : planes_(planes),
      head_dim_(head_dim),
      scores_(kQueryChunk, kSlots),
      sums_(static_cast<size_t>(planes * kQueryChunk * kSlots)),
      weights_(sums_.size()),
      weight_scale_(static_cast<size_t>(kQueryChunk)),
      weight_offset_(weight_scale_.size()) {
  const auto reserve = [&](const KvPartLayout& part, int64_t bytes, UnpackedPart& out) {
    out.panel = AlignedBuffer(bytes);
    std::memset(out.panel.data(), 0, static_cast<size_t>(bytes));  // the padding must be harmless
    out.scale.resize(static_cast<size_t>(part.groups * kSlots));
    out.zeros.resize(out.scale.size());
  };
  const bool packed_keys = layout.k.head_dim > 0;
  reserve(layout.k, packed_keys ? kv_panel_bytes(false, head_dim) : head_dim * kSlots * 4, keys_);
  reserve(layout.v, kv_panel_bytes(true, head_dim), values_);
}

void BlockAttention::unpack(const KvPartLayout& part, const uint8_t* scales, const uint8_t* codes,
                            const uint8_t* zeros, UnpackedPart& out) {
  const KernelTable& kernel = kernels();
  kernel.unpack_panel(codes, part.runs.data(), static_cast<int64_t>(part.runs.size()),
                      part.planes.data(), part.offsets.data(),
                      static_cast<uint8_t*>(out.panel.data()));
  const auto* stored = reinterpret_cast<const f16*>(scales);
  const int64_t stride = part.rows + part.sinks;
  const bool whole = part.rows == kSlots;
  out.zero =
      whole && !part.symmetric && (part.groups == 1 || part.sinks == 0) ? zeros : out.zeros.data();
  for (int64_t g = 0; g < part.groups; ++g) {
    float* scale = out.scale.data() + g * kSlots;
    if (whole) {
      kernel.scale_f16(stored + g * stride, part.factor.data(), scale, kSlots);
    } else {
      for (int64_t s = 0, index = 0; s < kSlots; ++s) {
        const auto at = static_cast<size_t>(s);
        scale[s] = part.bits[at] > 0 ? f16_to_f32(stored[g * stride + index]) * part.factor[at] : 0;
        index += part.bits[at] > 0;
      }
    }
    if (out.zero == zeros) continue;
    uint8_t* zero = out.zeros.data() + g * kSlots;
    for (int64_t s = 0, index = 0; s < kSlots; ++s) {
      const auto at = static_cast<size_t>(s);
      zero[s] = part.symmetric || part.bits[at] == 0 ? part.middle[at] : zeros[g * stride + index];
      index += part.bits[at] > 0;
    }
  }
  out.sinks.reshape(part.sinks, part.head_dim);
  if (part.sinks > 0) unpack_sinks(part, scales, codes, zeros, out);
}

void BlockAttention::unpack_sinks(const KvPartLayout& part, const uint8_t* scales,
                                  const uint8_t* codes, const uint8_t* zeros, UnpackedPart& out) {
  for (int64_t i = 0; i < part.sinks; ++i)
    for_each_group(part, [&](int64_t g, int64_t first, int64_t width) {
      const int64_t at = g * (part.rows + part.sinks) + part.rows + i;
      const float scale = f16_to_f32(reinterpret_cast<const f16*>(scales)[at]);
      const int zero = part.symmetric ? 128 : zeros[at];
      const uint8_t* code = codes + part.packed_bytes + i * part.head_dim + first;
      for (int64_t j = 0; j < width; ++j)
        out.sinks(i, first + j) = static_cast<float>(code[j] - zero) * scale;
    });
}

void BlockAttention::score(const KvPartLayout& keys, const HeadQueries& queries, int64_t first,
                           int64_t count) {
  const KernelTable& kernel = kernels();
  const auto& [q, codes, softmax_row] = queries;
  if (keys.head_dim == 0) {
    kernel.gemm_f32(q.row(first), q.stride, static_cast<const float*>(keys_.panel.data()), kSlots,
                    scores_.data(), kSlots, count, kSlots, head_dim_, 0);
    return;
  }
  const auto* a = static_cast<const int8_t*>(codes.codes.data()) + first * planes_ * head_dim_;
  const auto* panel = static_cast<const uint8_t*>(keys_.panel.data());
  for_each_group(keys, [&](int64_t g, int64_t column, int64_t width) {
    kernel.gemm_s8u8(a + column, head_dim_, panel + kv_panel_index(false, 0, column), sums_.data(),
                     kSlots, planes_ * count, width, nullptr, keys.code_limit, 0);
    kernel.kv_scores(sums_.data(), planes_, codes.scale.data() + first,
                     codes.sum.data() + g * q.rows + first, keys_.scale.data() + g * kSlots,
                     keys_.zero + g * kSlots, keys.levels, scores_.data(), count, g > 0);
  });
  for (int64_t t = 0; t < keys_.sinks.rows(); ++t)
    for (int64_t r = 0; r < count; ++r)
      kernel.gemv_f32(q.row(first + r), keys_.sinks.row(t), head_dim_,
                      scores_.row(r) + token_slot(t), 1, head_dim_);
}

void BlockAttention::add_values(const KvPartLayout& values, ConstFloatView rows, int64_t count,
                                float* out) {
  const KernelTable& kernel = kernels();
  if (values.head_dim == 0) {  // tokens j, j + 4, ... are slots 16 j ...
    for (int64_t j = 0; j < 4; ++j)
      kernel.gemm_f32(scores_.data() + 16 * j, kSlots, rows.row(j), 4 * rows.stride, out, head_dim_,
                      count, head_dim_, 16, 1);
    return;
  }
  for (int64_t t = 0; t < values_.sinks.rows(); ++t)
    for (int64_t r = 0; r < count; ++r) {
      float& p = scores_(r, token_slot(t));
      for (int64_t j = 0; j < head_dim_; ++j) out[r * head_dim_ + j] += p * values_.sinks(t, j);
      p = 0;
    }
  const auto* panel = static_cast<const uint8_t*>(values_.panel.data());
  for_each_group(values, [&](int64_t g, int64_t begin, int64_t width) {
    kernel.kv_weights(scores_.data(), values_.scale.data() + g * kSlots, values_.zero + g * kSlots,
                      values.levels, planes_, weights_.data(), weight_scale_.data(),
                      weight_offset_.data(), count);
    for (int64_t column = begin; column < begin + width;) {
      const int64_t inside = column % 64, part = std::min(64 - inside, begin + width - column);
      kernel.gemm_s8u8(weights_.data(), kSlots, panel + kv_panel_index(true, 0, column - inside),
                       sums_.data(), 64, planes_ * count, kSlots, nullptr, values.code_limit, 0);
      kernel.kv_values(sums_.data() + inside, planes_, weight_scale_.data(), weight_offset_.data(),
                       out + column, head_dim_, count, part);
      column += part;
    }
  });
}

void BlockAttention::attend(const KvBlock& block, int64_t head, const KeyTile& rows,
                            const HeadQueries& queries, float scale, const uint8_t* next,
                            RunningSoftmax& softmax) {
  const KvHeadLayout& layout = *block.layout;
  const uint8_t* data = block.head(head);
  Prefetch prefetch(next, layout.bytes, 5);
  prefetch.piece();
  if (layout.k.head_dim > 0)
    unpack(layout.k, data, data + layout.k_codes, data + layout.zeros, keys_);
  else
    for (int64_t j = 0; j < 4; ++j)  // slots 16 j ... are tokens j, j + 4, ...
      kernels().transpose_f32(rows.k.row(j), 4 * rows.k.stride,
                              static_cast<float*>(keys_.panel.data()) + 16 * j, kSlots, 16,
                              head_dim_);
  prefetch.piece();
  if (layout.v.head_dim > 0)
    unpack(layout.v, data + 2 * layout.k.scale_count(), data + layout.v_codes,
           data + layout.zeros + layout.k.zero_count(), values_);
  for (int64_t first = 0; first < queries.q.rows; first += kQueryChunk) {
    const int64_t count = std::min(kQueryChunk, queries.q.rows - first);
    prefetch.piece();
    score(layout.k, queries, first, count);
    prefetch.piece();
    softmax.update_rows(queries.first + first, count, scores_.data(), scale);
    prefetch.piece();
    add_values(layout.v, rows.v, count, softmax.out.row(queries.first + first));
  }
}

}  // namespace stamp
