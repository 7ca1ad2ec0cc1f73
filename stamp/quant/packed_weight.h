#pragma once
// A weight in the layout of the integer kernels (kernels.def: panels of 64 output channels), made
// once when a model is loaded; the same for every instruction set.
#include <vector>

#include "stamp/quant/stored_weight.h"

namespace stamp {

class PackedWeight {
 public:
  static constexpr int64_t kColumns = 64;

  PackedWeight() = default;
  /// Room for a weight of this layout (see stored_layout(); its data are not read), to be filled.
  /// With `block` > 0 groups end at its multiples too, for activations with a scale per `block`
  /// channels. Throws std::invalid_argument for groups or blocks that are not multiples of 8.
  explicit PackedWeight(const StoredWeight& layout, int64_t block = 0);
  /// Copies rows [first, first + rows.out_dim) into panels, on all threads; `rows` is not needed
  /// afterwards. Every row is given once. Throws std::invalid_argument unless `first` is a multiple
  /// of 64 and so is the end, or the weight ends there; std::runtime_error as check().
  void fill(int64_t first, const StoredWeight& rows);

  bool empty() const { return out_dim_ == 0; }
  int bits() const { return bits_; }  // 4 or 8
  int64_t out_dim() const { return out_dim_; }
  int64_t in_dim() const { return in_dim_; }
  /// Channels that the panels hold: in_dim rounded up to a multiple of 8. Activations have zeros
  /// there.
  int64_t padded_in_dim() const { return (in_dim_ + 7) / 8 * 8; }
  int64_t panels() const { return (out_dim_ + kColumns - 1) / kColumns; }
  /// Nibble (4 bits) or byte (8 bits) panel of output channels [64 p, 64 p + 64); those beyond
  /// out_dim are zero weights with scale 0.
  const uint8_t* panel(int64_t p) const { return panels_data() + p * panel_bytes_; }
  /// A panel holds w + bias(): 8 or 128.
  int bias() const { return 1 << (bits_ - 1); }
  int64_t group() const { return group_ > 0 ? group_ : padded_in_dim(); }
  int64_t groups() const { return groups_; }
  /// Scales, and sums over the group's channels of w, of panel p and group g: 64 each.
  const float* scale(int64_t p, int64_t g = 0) const { return &scale_[column(p, g)]; }
  const int32_t* sum(int64_t p, int64_t g = 0) const { return &sum_[column(p, g)]; }
  /// Bytes that a product reads.
  int64_t bytes() const;

 private:
  void fill_panel(int64_t p, const StoredWeight& rows, int64_t row, std::span<float> scales);
  const uint8_t* panels_data() const { return static_cast<const uint8_t*>(data_.data()); }
  size_t column(int64_t p, int64_t g) const {
    return static_cast<size_t>((p * groups_ + g) * kColumns);
  }

  int bits_ = 4;
  int64_t stored_group_ = 0, group_ = 0, groups_ = 0, out_dim_ = 0, in_dim_ = 0, panel_bytes_ = 0;
  AlignedBuffer data_;
  std::vector<float> scale_;
  std::vector<int32_t> sum_;
};

}  // namespace stamp
