#pragma once
// A weight as integer codes in the form that files hold: the pack-quantized layout of
// compressed-tensors, the same for every instruction set.
#include "stamp/core/tensor.h"
#include "stamp/quant/recipe.h"

namespace stamp {

/// Codes c[o, k] of W [out_dim, in_dim] with W^ = scale[o, k / group] * c. View; does not own.
struct StoredWeight {
  int bits = 4;       // of a stored code: 4 or 8; narrower recipes use the smaller that holds them
  int64_t group = 0;  // input channels that share a scale (the last group may be shorter); 0: all
  int64_t out_dim = 0, in_dim = 0;
  /// I32 [out_dim, ceil(in_dim / (32 / bits))]: c + 2^(bits - 1) as unsigned fields, lowest first;
  /// unused fields are 0.
  TensorView packed;
  /// F16 or BF16 [out_dim, groups].
  TensorView scale;

  int64_t groups() const { return group > 0 ? (in_dim + group - 1) / group : 1; }
};

/// Memory of a StoredWeight made here.
struct StoredWeightBuffer {
  AlignedBuffer packed, scale;
  StoredWeight view;
};
/// Bits of the stored codes of such a weight: 4 or 8.
int stored_bits(const WeightSpec& spec);
/// Types and shapes of a weight [out_dim, in_dim] stored under `spec`; no data.
StoredWeight stored_layout(const WeightSpec& spec, int64_t out_dim, int64_t in_dim);
/// Room for the codes and scales of such a weight; contents are not set.
StoredWeightBuffer make_stored_weight(const WeightSpec& spec, int64_t out_dim, int64_t in_dim);
/// Sets row `row` of a weight made here: grid values `codes` [in_dim] and fp16 `scales` [groups].
void store_row(StoredWeightBuffer& weight, int64_t row, std::span<const int8_t> codes,
               std::span<const float> scales);
/// RTN codes of W in `spec`, with learned clipping (RowClips of weight_quant.h) (symmetric, bits <=
/// 8; see fake_quantize_weight(), whose result equals dequantize(quantize_weight(W)) bit for bit),
/// on all threads. Throws std::invalid_argument for 16 bits and for asymmetric specs.
StoredWeightBuffer quantize_weight(ConstFloatView weight, const WeightSpec& spec,
                                   std::span<const float> clips = {});
/// Rows [first, first + count) of a weight in blocks whose codes are exact (exact_code_bits()), as
/// they are, with groups of a block, on all threads. Throws std::invalid_argument for other types.
StoredWeightBuffer stored_blocks(const TensorView& weight, int64_t first, int64_t count);
/// The layout of that; no data.
StoredWeight stored_blocks_layout(const TensorView& weight);
/// Rows [first, first + count) as a weight of their own; shares the memory.
StoredWeight rows_of(const StoredWeight& weight, int64_t first, int64_t count);
/// The layout of columns [first, first + count) of a weight of this layout; no data. Throws
/// std::invalid_argument unless they are whole groups (if there are several) and whole words.
StoredWeight columns_layout(const StoredWeight& layout, int64_t first, int64_t count);
/// Columns [first, first + count), with the scales of the whole weight. Throws as columns_layout().
StoredWeightBuffer columns_of(const StoredWeight& weight, int64_t first, int64_t count);
/// The whole weight in memory of its own.
StoredWeightBuffer copy_of(const StoredWeight& weight);
/// Rows [first, first + out.rows) of W^.
void dequantize(const StoredWeight& weight, int64_t first, FloatView out);
/// Throws std::runtime_error naming `name` when types, shapes and bits do not fit together.
void check(const StoredWeight& weight, const std::string& name);

}  // namespace stamp
