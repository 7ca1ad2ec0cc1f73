#pragma once
// The table of token embeddings, read row by row.
#include <optional>

#include "stamp/core/tensor.h"
#include "stamp/quant/stored_weight.h"

namespace stamp {

class Embedding {
 public:
  Embedding() = default;
  /// `table` [vocab, dim], F32 / F16 / BF16, must outlive this. bits: 16, or 8 for rows rounded to
  /// what an 8-bit table (one symmetric scale per row) would hold.
  Embedding(TensorView table, int bits) : table_(std::move(table)), bits_(bits) {}
  /// The 8-bit table itself.
  explicit Embedding(StoredWeight table) : stored_(std::move(table)) {}

  /// out[i] = row ids[i], fp32. Throws std::invalid_argument for an id out of range or an `out`
  /// that is not [ids.size(), dim].
  void gather(std::span<const int32_t> ids, FloatView out) const;

 private:
  void read_row(int64_t id, FloatView out) const;

  TensorView table_;
  int bits_ = 16;
  std::optional<StoredWeight> stored_;
};

}  // namespace stamp
