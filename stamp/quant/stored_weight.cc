#include "stamp/quant/stored_weight.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "stamp/core/block_types.h"
#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/quant/row_quantizer.h"
#include "stamp/quant/weight_quant.h"

namespace stamp {
namespace {

int codes_per_word(int bits) { return 32 / bits; }
int64_t words_per_row(int64_t in_dim, int bits) {
  return (in_dim + codes_per_word(bits) - 1) / codes_per_word(bits);
}

/// Codes of one scale group.
void quantize_group(std::span<const float> weights, const Grid& grid, int8_t* codes) {
  const float* data = weights.data();
  const auto count = static_cast<int64_t>(weights.size());
  const Grid local = grid;
#pragma omp simd
  for (int64_t i = 0; i < count; ++i)
    codes[i] = static_cast<int8_t>(static_cast<int32_t>(grid_code(data[i], local)));
}

void pack_row(std::span<const int8_t> codes, int bits, uint32_t* packed) {
  const size_t per_word = static_cast<size_t>(codes_per_word(bits));
  const int offset = 1 << (bits - 1);
  for (size_t first = 0; first < codes.size(); first += per_word) {
    const size_t count = std::min(per_word, codes.size() - first);
    uint32_t word = 0;
    for (size_t j = 0; j < count; ++j)
      word |= static_cast<uint32_t>(codes[first + j] + offset) << (bits * static_cast<int>(j));
    *packed++ = word;
  }
}

[[noreturn]] void reject(const std::string& name, const char* part, const std::string& expected,
                         const TensorView& got) {
  throw_runtime("{}.{}: expected {}, got {} {}", name, part, expected, dtype_name(got.dtype),
                to_string(got.shape));
}

}  // namespace

int stored_bits(const WeightSpec& spec) { return spec.bits <= 4 ? 4 : 8; }

StoredWeight stored_layout(const WeightSpec& spec, int64_t out_dim, int64_t in_dim) {
  StoredWeight weight{.bits = stored_bits(spec), .group = spec.group};
  weight.out_dim = out_dim;
  weight.in_dim = in_dim;
  weight.packed = {DType::kI32, {out_dim, words_per_row(in_dim, weight.bits)}, nullptr};
  weight.scale = {DType::kF16, {out_dim, weight.groups()}, nullptr};
  return weight;
}

StoredWeightBuffer make_stored_weight(const WeightSpec& spec, int64_t out_dim, int64_t in_dim) {
  if (spec.bits > 8) throw_argument("quantize: expected weights of 2 to 8 bits, got {}", spec.bits);
  if (!spec.symmetric)
    throw_argument("quantize: asymmetric weights have no stored form; set weights.symmetric");
  StoredWeightBuffer result{.view = stored_layout(spec, out_dim, in_dim)};
  result.packed = AlignedBuffer(result.view.packed.bytes());
  result.scale = AlignedBuffer(result.view.scale.bytes());
  result.view.packed.data = result.packed.data();
  result.view.scale.data = result.scale.data();
  return result;
}

void store_row(StoredWeightBuffer& weight, int64_t row, std::span<const int8_t> codes,
               std::span<const float> scales) {
  const StoredWeight& view = weight.view;
  pack_row(codes, view.bits,
           static_cast<uint32_t*>(weight.packed.data()) + row * view.packed.shape[1]);
  auto* scale = static_cast<f16*>(weight.scale.data()) + row * view.groups();
  for (const float value : scales) *scale++ = f32_to_f16(value);
}

StoredWeightBuffer quantize_weight(ConstFloatView weight, const WeightSpec& spec,
                                   std::span<const float> clips) {
  StoredWeightBuffer result = make_stored_weight(spec, weight.rows, weight.cols);
  parallel_ranges(weight.rows, 1, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> codes(static_cast<size_t>(weight.cols));
    std::vector<float> scales;
    for (int64_t row = begin; row < end; ++row) {
      scales.clear();
      for_each_scale_group(weight.cols, spec.group, 0, [&](int64_t first, int64_t count) {
        const std::span<const float> part(weight.row(row) + first, static_cast<size_t>(count));
        const Grid grid = weight_grid(part, spec, clips, row);
        scales.push_back(grid.scale);
        quantize_group(part, grid, codes.data() + first);
      });
      store_row(result, row, codes, scales);
    }
  });
  return result;
}

StoredWeight stored_blocks_layout(const TensorView& weight) {
  const int bits = exact_code_bits(weight.dtype);
  if (bits == 0 || weight.shape.size() != 2)
    throw_argument("stored blocks: {} {} has no exact codes", dtype_name(weight.dtype),
                   to_string(weight.shape));
  return stored_layout({.bits = bits, .group = dtype_block(weight.dtype)}, weight.shape[0],
                       weight.shape[1]);
}

StoredWeightBuffer stored_blocks(const TensorView& weight, int64_t first, int64_t count) {
  const int block = dtype_block(weight.dtype);
  const int64_t in_dim = stored_blocks_layout(weight).in_dim;
  StoredWeightBuffer result =
      make_stored_weight({.bits = exact_code_bits(weight.dtype), .group = block}, count, in_dim);
  const auto* blocks = static_cast<const std::byte*>(weight.data);
  auto* scales = static_cast<f16*>(result.scale.data());
  auto* packed = static_cast<uint32_t*>(result.packed.data());
  parallel_ranges(count, 1, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> codes(static_cast<size_t>(in_dim));
    for (int64_t row = begin; row < end; ++row) {
      split_blocks(weight.dtype, blocks + dtype_bytes(weight.dtype, (first + row) * in_dim), in_dim,
                   codes.data(), scales + row * (in_dim / block));
      pack_row(codes, result.view.bits, packed + row * result.view.packed.shape[1]);
    }
  });
  return result;
}

StoredWeight rows_of(const StoredWeight& weight, int64_t first, int64_t count) {
  StoredWeight rows = weight;
  rows.out_dim = count;
  rows.packed = rows_of(weight.packed, first, count);
  rows.scale = rows_of(weight.scale, first, count);
  return rows;
}

StoredWeight columns_layout(const StoredWeight& layout, int64_t first, int64_t count) {
  const int64_t unit = layout.group > 0 ? std::lcm(layout.group, int64_t{8}) : 8;
  const bool whole = first % unit == 0 && (count % unit == 0 || first + count == layout.in_dim);
  if (first < 0 || count < 1 || first + count > layout.in_dim || !whole)
    throw_argument("columns {} to {} of a weight with {} are no multiples of {}", first,
                   first + count, layout.in_dim, unit);
  StoredWeight part = layout;
  part.in_dim = count;
  part.packed = {layout.packed.dtype, {layout.out_dim, words_per_row(count, layout.bits)}, nullptr};
  part.scale = {layout.scale.dtype, {layout.out_dim, part.groups()}, nullptr};
  return part;
}

StoredWeightBuffer columns_of(const StoredWeight& weight, int64_t first, int64_t count) {
  StoredWeightBuffer result{.view = columns_layout(weight, first, count)};
  const int64_t group = weight.group > 0 ? first / weight.group : 0;
  const auto copy = [&](const TensorView& from, TensorView& to, int64_t column) {
    AlignedBuffer memory(to.bytes());
    const int64_t size = dtype_size(from.dtype);
    for (int64_t row = 0; row < weight.out_dim; ++row)
      std::memcpy(static_cast<std::byte*>(memory.data()) + row * to.shape[1] * size,
                  static_cast<const std::byte*>(from.data) + (row * from.shape[1] + column) * size,
                  static_cast<size_t>(to.shape[1] * size));
    to.data = memory.data();
    return memory;
  };
  result.packed = copy(weight.packed, result.view.packed, first / codes_per_word(weight.bits));
  result.scale = copy(weight.scale, result.view.scale, group);
  return result;
}

StoredWeightBuffer copy_of(const StoredWeight& weight) {
  StoredWeightBuffer copy{.packed = AlignedBuffer(weight.packed.bytes()),
                          .scale = AlignedBuffer(weight.scale.bytes()),
                          .view = weight};
  std::memcpy(copy.packed.data(), weight.packed.data, static_cast<size_t>(weight.packed.bytes()));
  std::memcpy(copy.scale.data(), weight.scale.data, static_cast<size_t>(weight.scale.bytes()));
  copy.view.packed.data = copy.packed.data();
  copy.view.scale.data = copy.scale.data();
  return copy;
}

void dequantize(const StoredWeight& weight, int64_t first, FloatView out) {
  const int per_word = codes_per_word(weight.bits), offset = 1 << (weight.bits - 1);
  const uint32_t mask = (1u << weight.bits) - 1;
  const int64_t words = weight.packed.shape[1], groups = weight.groups();
  const int64_t group = weight.group > 0 ? weight.group : weight.in_dim;
  parallel_ranges(out.rows, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scale(static_cast<size_t>(groups));
    for (int64_t i = begin; i < end; ++i) {
      to_f32(weight.scale, (first + i) * groups, scale);
      const uint32_t* packed = weight.packed.as<uint32_t>() + (first + i) * words;
      for (int64_t k = 0; k < weight.in_dim; ++k) {
        const uint32_t field = packed[k / per_word] >> (k % per_word * weight.bits) & mask;
        const auto code = static_cast<float>(static_cast<int>(field) - offset);
        out(i, k) = code * scale[static_cast<size_t>(k / group)];
      }
    }
  });
}

void check(const StoredWeight& weight, const std::string& name) {
  if ((weight.bits != 4 && weight.bits != 8) || weight.group < 0 || weight.out_dim < 1 ||
      weight.in_dim < 1)
    throw_runtime(
        "{}: expected codes of 4 or 8 bits in groups of a weight that is not empty, got "
        "{} bits, group {}, [{}, {}]",
        name, weight.bits, weight.group, weight.out_dim, weight.in_dim);
  const Shape packed = {weight.out_dim, words_per_row(weight.in_dim, weight.bits)};
  if (weight.packed.dtype != DType::kI32 || weight.packed.shape != packed)
    reject(name, "weight_packed", "I32 " + to_string(packed), weight.packed);
  const Shape scale = {weight.out_dim, weight.groups()};
  if ((weight.scale.dtype != DType::kF16 && weight.scale.dtype != DType::kBF16) ||
      weight.scale.shape != scale)
    reject(name, "weight_scale", "F16 or BF16 " + to_string(scale), weight.scale);
}

}  // namespace stamp
