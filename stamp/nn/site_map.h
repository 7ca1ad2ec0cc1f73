#pragma once
// The basis in which one group of linears works: what a feature transform makes of its input, its
// weights and its outputs.
#include <string>

#include "stamp/quant/calibration.h"
#include "stamp/quant/feature_map.h"

namespace stamp {

struct GroupBasis {
  FeatureMap input;   // T of the input as the plain model has it; weights become W T^-T
  FeatureMap online;  // the part of it that is left to do when the input arrives
  /// Of each weight: its output y arrives as y T where it goes next; empty: as it is.
  std::vector<FeatureMap> outputs;
  /// Of each weight: learned clipping of its rows (RowClips); empty: none.
  std::vector<std::vector<float>> clips;

  const FeatureMap& output(size_t weight) const;
  /// Those of rows [first, first + count) of a weight.
  std::span<const float> row_clips(size_t weight, int64_t first, int64_t count) const;
  /// Leaves only outputs [first, first + count) of a weight with `out_dim` of them. Throws as
  /// part_of().
  void keep_outputs(size_t weight, int64_t out_dim, int64_t first, int64_t count);
};

/// T of a site of `in_dim` features under `recipe`, all of it online; made of heads of `head_dim`
/// features (0: not). Rotations stay within each of `parts` equal parts of the features. Throws
/// std::runtime_error when calibration lacks what the recipe needs.
FeatureMap site_map(const std::string& site, const Recipe& recipe, const Calibration* calibration,
                    int64_t in_dim, int64_t head_dim, int64_t parts = 1);
/// Random signs +-1.
std::vector<float> random_signs(int64_t count, uint64_t seed);

/// Rows of a weight that are loaded at a time: all when outputs are mapped.
int64_t rows_at_once(const FeatureMap& output, int64_t out_dim, int64_t wanted);
/// out [rows, in_dim] := rows [first, first + rows) of a weight [out_dim, in_dim] whose input and
/// output are mapped (fp64 inside); the mapped pages they came from are given back. With an output
/// map `out` must be the whole weight.
void load_weight_rows(const TensorView& weight, const FeatureMap& input, const FeatureMap& output,
                      int64_t first, FloatView out);
/// The bias of a weight whose output is mapped, fp32; empty without one.
std::vector<float> load_bias(const std::optional<TensorView>& bias, const FeatureMap& output);
/// bias := bias + mean W^T of rows W of a weight in the basis of `map`; map.mean must not be empty.
void add_centering(const FeatureMap& map, const TensorView& weight, std::span<float> bias);

}  // namespace stamp
