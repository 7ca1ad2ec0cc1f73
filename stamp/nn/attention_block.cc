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

/// Codes of x * factor in one or two planes; returns their sum.
int32_t split_codes(const float* x, int64_t count, float factor, int planes, int8_t* high,
                    int8_t* low) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it leaves an integer
  const float top = top_code(planes);
  int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) {
    float code = (x[i] * factor + kRound) - kRound;
    code = code > -top ? code : -top;  // NaN too
    code = code < top ? code : top;
    const auto value = static_cast<int32_t>(code);
    const int32_t upper = planes == 2 ? (value + 128) >> 8 : value;
    high[i] = static_cast<int8_t>(upper);
    if (planes == 2) low[i] = static_cast<int8_t>(value - 256 * upper);
    sum += value;
  }
  return sum;
}

/// Scale groups of a head as (index, first column, columns).
template <class Body>
void for_each_group(const KvPartLayout& part, Body&& body) {
  for (int64_t g = 0; g < part.groups; ++g)
    body(g, g * part.group, std::min(part.group, part.head_dim - g * part.group));
}

void prefetch(const uint8_t* p, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i += 64) __builtin_prefetch(p + i);
}

}  // namespace

QueryCodes quantize_queries(const Matrix& q, const KvPartLayout& keys, int planes) {
  const int64_t rows = q.rows(), dim = q.cols();
  QueryCodes result{.planes = planes,
                    .codes = AlignedBuffer(planes * rows * dim),
                    .scale = std::vector<float>(static_cast<size_t>(rows)),
                    .sum = std::vector<float>(static_cast<size_t>(rows * keys.groups))};
  auto* codes = static_cast<int8_t*>(result.codes.data());
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t chunk = r / kQueryChunk * kQueryChunk;
    const int64_t count = std::min(kQueryChunk, rows - chunk);
    int8_t* high = codes + (chunk * planes + r - chunk) * dim;
    int8_t* low = planes == 2 ? high + count * dim : high;
    const auto [largest, taint] = magnitude(q.row(r), dim);
    const float scale = largest / top_code(planes) + taint;
    result.scale[static_cast<size_t>(r)] = scale;
    for_each_group(keys, [&](int64_t g, int64_t first, int64_t width) {
      const int32_t sum = split_codes(q.row(r) + first, width, top_code(planes) / largest, planes,
                                      high + first, low + first);
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
    out.zero.resize(out.scale.size());
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
  widened_.resize(static_cast<size_t>(part.scale_count()));
  kernel.from_f16(reinterpret_cast<const f16*>(scales), widened_.data(), part.scale_count());
  for (int64_t g = 0; g < part.groups; ++g) {
    const float* stored = widened_.data() + g * (part.rows + part.sinks);
    const uint8_t* stored_zero =
        part.symmetric ? part.middle.data() : zeros + g * (part.rows + part.sinks);
    float* scale = out.scale.data() + g * kSlots;
    uint8_t* zero = out.zero.data() + g * kSlots;
    if (part.rows == kSlots) {
      for (int64_t s = 0; s < kSlots; ++s)
        scale[s] = stored[s] * part.factor[static_cast<size_t>(s)];
      std::copy_n(stored_zero, kSlots, zero);
      continue;
    }
    for (int64_t s = 0, index = 0; s < kSlots; ++s) {
      const bool kept = part.bits[static_cast<size_t>(s)] > 0;
      scale[s] = kept ? stored[index] * part.factor[static_cast<size_t>(s)] : 0.0f;
      zero[s] = kept ? stored_zero[part.symmetric ? s : index] : uint8_t{0};
      index += kept;
    }
  }
  out.sinks.reshape(part.sinks, part.head_dim);
  for (int64_t i = 0; i < part.sinks; ++i)
    for_each_group(part, [&](int64_t g, int64_t first, int64_t width) {
      const int64_t at = g * (part.rows + part.sinks) + part.rows + i;
      const int zero = part.symmetric ? 128 : zeros[at];
      const uint8_t* code = codes + part.packed_bytes + i * part.head_dim + first;
      for (int64_t j = 0; j < width; ++j)
        out.sinks(i, first + j) =
            static_cast<float>(code[j] - zero) * widened_[static_cast<size_t>(at)];
    });
}

void BlockAttention::score(const KvPartLayout& keys, const Matrix& q, const QueryCodes& codes,
                           int64_t first, int64_t count) {
  const KernelTable& kernel = kernels();
  if (keys.head_dim == 0) {
    kernel.gemm_f32(q.row(first), head_dim_, static_cast<const float*>(keys_.panel.data()), kSlots,
                    scores_.data(), kSlots, count, kSlots, head_dim_, 0);
    return;
  }
  const auto* a = static_cast<const int8_t*>(codes.codes.data()) + first * planes_ * head_dim_;
  const auto* panel = static_cast<const uint8_t*>(keys_.panel.data());
  for_each_group(keys, [&](int64_t g, int64_t column, int64_t width) {
    kernel.gemm_s8u8(a + column, head_dim_, panel + kv_panel_index(false, 0, column), sums_.data(),
                     kSlots, planes_ * count, width, nullptr, keys.code_limit, 0);
    kernel.kv_scores(sums_.data(), planes_, codes.scale.data() + first,
                     codes.sum.data() + g * q.rows() + first, keys_.scale.data() + g * kSlots,
                     keys_.zero.data() + g * kSlots, keys.levels, scores_.data(), count, g > 0);
  });
  for (int64_t t = 0; t < keys_.sinks.rows(); ++t)
    for (int64_t r = 0; r < count; ++r)
      kernel.gemv_f32(q.row(first + r), keys_.sinks.row(t), head_dim_,
                      scores_.row(r) + token_slot(t), 1, head_dim_);
}

void BlockAttention::add_values(const KvPartLayout& values, ConstFloatView rows, int64_t first,
                                int64_t count, RunningSoftmax& softmax) {
  const KernelTable& kernel = kernels();
  float* out = softmax.out.row(first);
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
    kernel.kv_weights(scores_.data(), values_.scale.data() + g * kSlots,
                      values_.zero.data() + g * kSlots, values.levels, planes_, weights_.data(),
                      weight_scale_.data(), weight_offset_.data(), count);
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
                            const Matrix& q, const QueryCodes& codes, float scale,
                            const uint8_t* next, RunningSoftmax& softmax) {
  const KvHeadLayout& layout = *block.layout;
  const uint8_t* data = block.head(head);
  if (next) prefetch(next, 0, layout.v_codes);
  if (layout.k.head_dim > 0)
    unpack(layout.k, data, data + layout.k_codes, data + layout.zeros, keys_);
  else
    for (int64_t j = 0; j < 4; ++j)  // slots 16 j ... are tokens j, j + 4, ...
      kernels().transpose_f32(rows.k.row(j), 4 * rows.k.stride,
                              static_cast<float*>(keys_.panel.data()) + 16 * j, kSlots, 16,
                              head_dim_);
  if (layout.v.head_dim > 0)
    unpack(layout.v, data + 2 * layout.k.scale_count(), data + layout.v_codes,
           data + layout.zeros + layout.k.zero_count(), values_);
  if (next) prefetch(next, layout.v_codes, layout.bytes);
  for (int64_t first = 0; first < q.rows(); first += kQueryChunk) {
    const int64_t count = std::min(kQueryChunk, q.rows() - first);
    score(layout.k, q, codes, first, count);
    for (int64_t r = 0; r < count; ++r)
      softmax.update(first + r, scores_.row(r), kSlots, kSlots, scale);
    add_values(layout.v, rows.v, first, count, softmax);
  }
}

}  // namespace stamp
