#pragma once
// An invertible linear map T of features: activations become x T, the weights that meet them W
// T^-T, so that x W^T stays what it was. Every feature transform is made of such maps.
#include <optional>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/feature_transform.h"

namespace stamp {

/// Parts that are empty are left out; the others act in this order.
struct FeatureMap {
  std::vector<float> scale;  // x_j := x_j scale_j, none of them 0
  /// The row as a matrix A [left.rows(), right.rows()] becomes left^T A right; either may be empty
  /// (identity of the size that is left).
  Matrix left, right;
  std::optional<HadamardPlan> hadamard;
  std::vector<float> mean;  // subtracted at the end; no part of T

  bool moves_weights() const {  // T is not the identity
    return !scale.empty() || left.size() > 0 || right.size() > 0 || hadamard;
  }
  bool empty() const { return !moves_weights() && mean.empty(); }
};

/// x := x T - mean of single rows, for callers that hold one row in cache.
class RowMap {
 public:
  /// Throws std::invalid_argument when a part does not fit `cols` features. `map` must outlive
  /// this.
  RowMap(const FeatureMap& map, int64_t cols);
  /// in, out: [cols]; out == in or no aliasing. `scratch` holds scratch_size() floats.
  void apply(const float* in, float* out, float* scratch) const;
  int64_t scratch_size() const { return scratch_size_; }

 private:
  const FeatureMap& map_;
  int64_t cols_, scratch_size_ = 0;
  Matrix left_transposed_;
  std::optional<RowRotation> rotation_;
};

/// The map of `features` features for [first, first + count) alone. Throws std::invalid_argument
/// when `map` mixes them with others.
FeatureMap part_of(const FeatureMap& map, int64_t features, int64_t first, int64_t count);

/// M^-T of a square matrix, in fp64. Throws std::invalid_argument when there is none.
Matrix inverse_transposed(const Matrix& matrix);

/// Every row x := x T - mean, on all threads. Throws std::invalid_argument as RowMap.
void map_rows(FloatView x, const FeatureMap& map);
/// Every row of W [any, features] := w T^-T, in fp64, on all threads. Throws std::invalid_argument
/// as RowMap and for matrices that are not square or not invertible.
void map_weight_rows(FloatView weight, const FeatureMap& map);
/// Every column of W [features, any] := (w^T T)^T, in fp64, on all threads: the weight whose output
/// y becomes y T. map.mean must be empty. Throws std::invalid_argument as RowMap.
void map_weight_columns(FloatView weight, const FeatureMap& map);

}  // namespace stamp
