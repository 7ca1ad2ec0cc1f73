#include "stamp/quant/token_codec.h"

#include <algorithm>
#include <cstring>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/row_quantizer.h"

namespace stamp {
namespace {

constexpr int kHighTokens = 64, kHighBits = 8;
constexpr int64_t kScaleColumns = 128;
constexpr int64_t kScaleBytes = 3;  // fp16 scale, zero point

TokenSpec spec_of(int bits) {
  TokenSpec spec;
  if (bits > 8) return spec;
  spec.bits = bits;
  spec.sequence = {.transform = "haar", .skip_tokens = 1};
  spec.quantizer = {.symmetric = false, .block = kScaleColumns};
  spec.plan = {.kind = "two_level", .high_tokens = kHighTokens, .high_bits = kHighBits};
  return spec;
}

/// Fields of `bits` bits, lowest first.
class BitWriter {
 public:
  explicit BitWriter(std::byte* to) : to_(to) {}
  void put(uint32_t value, int bits) {
    word_ |= uint64_t{value} << used_;
    for (used_ += bits; used_ >= 8; used_ -= 8, word_ >>= 8) *to_++ = static_cast<std::byte>(word_);
  }
  void finish() {
    if (used_ > 0) *to_ = static_cast<std::byte>(word_);
  }

 private:
  std::byte* to_;
  uint64_t word_ = 0;
  int used_ = 0;
};

class BitReader {
 public:
  explicit BitReader(const std::byte* from) : from_(from) {}
  uint32_t get(int bits) {
    for (; left_ < bits; left_ += 8) word_ |= static_cast<uint64_t>(*from_++) << left_;
    const auto value = static_cast<uint32_t>(word_ & ((1u << bits) - 1));
    word_ >>= bits;
    left_ -= bits;
    return value;
  }

 private:
  const std::byte* from_;
  uint64_t word_ = 0;
  int left_ = 0;
};

template <class Value, class Convert>
void convert_all(ConstFloatView x, std::byte* to, Convert&& convert) {
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t j = 0; j < x.cols; ++j, to += sizeof(Value)) {
      const Value value = convert(x(i, j));
      std::memcpy(to, &value, sizeof value);
    }
}

}  // namespace

TokenCodec::TokenCodec(int bits, int64_t cols) : bits_(bits), cols_(cols), quantizer_(TokenSpec{}) {
  if (bits != 32 && bits != 16 && (bits < 2 || bits > 8))
    throw_argument("token codec: expected 2 to 8, 16 or 32 bits, got {}", bits);
  if (bits > 8) return;
  quantizer_ = TokenQuantizer(spec_of(bits));
  map_.hadamard = plan_hadamard(cols);
  back_.hadamard = inverse_of(*map_.hadamard);
}

int64_t TokenCodec::row_bytes(int bits) const {
  if (bits == 0) return 0;
  return (cols_ * bits + 7) / 8 + (cols_ + kScaleColumns - 1) / kScaleColumns * kScaleBytes;
}

/// Blocks one after the other: rows of L X, then sinks.
TokenCodec::Layout TokenCodec::layout(int64_t tokens, TokenRows rows) const {
  Layout all;
  const auto add = [&](int64_t token, int bits, bool sink) {
    all.rows.push_back({token, bits, all.bytes, sink});
    all.bytes += row_bytes(bits);
  };
  for (const TokenBlock& block : token_blocks(quantizer_.spec().sequence, tokens, rows)) {
    if (block.sinks < block.count) {
      const auto widths = quantizer_.widths(block.count, block.sinks);
      for (int64_t i = 0; i < block.count; ++i)
        add(block.first + i, (*widths)[static_cast<size_t>(i)], false);
    }
    for (int64_t i = 0; i < block.sinks; ++i) add(block.first + i, kSinkBits, true);
  }
  return all;
}

int64_t TokenCodec::bytes(int64_t tokens, TokenRows rows) const {
  return bits_ > 8 ? tokens * cols_ * bits_ / 8 : layout(tokens, rows).bytes;
}

void TokenCodec::encode_row(std::span<const float> row, int bits, std::byte* to) const {
  std::byte* scales = to;
  BitWriter codes(to + (row_bytes(bits) - (cols_ * bits + 7) / 8));
  for_each_scale_group(cols_, 0, kScaleColumns, [&](int64_t first, int64_t count) {
    const auto part = row.subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    const Grid grid = make_grid(range_of(part), bits, quantizer_.spec().quantizer);
    const f16 scale = f32_to_f16(grid.scale);
    const auto zero = static_cast<uint8_t>(grid.zero_point());
    std::memcpy(scales, &scale, sizeof scale);
    std::memcpy(scales + sizeof scale, &zero, sizeof zero);
    scales += kScaleBytes;
    for (const float value : part)
      codes.put(static_cast<uint32_t>(grid_code(value, grid) - grid.low), bits);
  });
  codes.finish();
}

void TokenCodec::decode_row(const std::byte* from, int bits, std::span<float> row) const {
  const std::byte* scales = from;
  BitReader codes(from + (row_bytes(bits) - (cols_ * bits + 7) / 8));
  for_each_scale_group(cols_, 0, kScaleColumns, [&](int64_t first, int64_t count) {
    f16 stored;
    uint8_t zero = 0;
    std::memcpy(&stored, scales, sizeof stored);
    std::memcpy(&zero, scales + sizeof stored, sizeof zero);
    scales += kScaleBytes;
    const float scale = f16_to_f32(stored);
    for (float& value : row.subspan(static_cast<size_t>(first), static_cast<size_t>(count)))
      value = scale * static_cast<float>(static_cast<int>(codes.get(bits)) - zero);
  });
}

template <class Body>
void TokenCodec::for_each_row(const Layout& all, bool sinks, Body&& body) {
  parallel_ranges(std::ssize(all.rows), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      if (const Row& row = all.rows[static_cast<size_t>(i)]; row.sink == sinks) body(row);
  });
}

std::vector<std::byte> TokenCodec::encode(ConstFloatView x, TokenRows rows) const {
  if (bits_ > 8) {
    std::vector<std::byte> values(static_cast<size_t>(bytes(x.rows, rows)));
    if (bits_ == 32) convert_all<float>(x, values.data(), [](float value) { return value; });
    if (bits_ == 16) convert_all<bf16>(x, values.data(), f32_to_bf16);
    return values;
  }
  Matrix mapped = Matrix::copy_of(x);
  map_rows(mapped.view(), map_);
  const Layout all = layout(x.rows, rows);
  std::vector<std::byte> codes(static_cast<size_t>(all.bytes));
  const auto encode_rows = [&](bool sinks) {
    for_each_row(all, sinks, [&](const Row& row) {
      if (row.bits > 0)
        encode_row(mapped.view().row_span(row.token), row.bits, codes.data() + row.offset);
    });
  };
  encode_rows(true);
  quantizer_.forward_only(mapped.view(), rows);
  encode_rows(false);
  return codes;
}

void TokenCodec::decode(std::span<const std::byte> bytes, TokenRows rows, FloatView x) const {
  const Layout all = bits_ > 8 ? Layout{{}, this->bytes(x.rows, rows)} : layout(x.rows, rows);
  if (std::ssize(bytes) != all.bytes)
    throw_runtime("token codec: {} tokens of {} features at {} bits take {} bytes, got {}", x.rows,
                  cols_, bits_, all.bytes, bytes.size());
  if (bits_ > 8) {
    const TensorView values{
        bits_ == 32 ? DType::kF32 : DType::kBF16, {x.rows, cols_}, bytes.data()};
    for (int64_t i = 0; i < x.rows; ++i) to_f32(values, i * cols_, x.row_span(i));
    return;
  }
  const auto decode_rows = [&](bool sinks) {
    for_each_row(all, sinks, [&](const Row& row) {
      if (row.bits == 0)
        std::fill_n(x.row(row.token), cols_, 0.0f);
      else
        decode_row(bytes.data() + row.offset, row.bits, x.row_span(row.token));
    });
  };
  decode_rows(false);
  quantizer_.inverse_only(x, rows);
  decode_rows(true);
  map_rows(x, back_);
}

}  // namespace stamp
