#pragma once
// The feature transform of one site: what happens to the input of a group of linears before it is
// quantized, and to their weights.
#include <string>

#include "stamp/quant/calibration.h"
#include "stamp/quant/feature_map.h"

namespace stamp {

/// The map of a site of `in_dim` features under `recipe` (which quantizes something there), made of
/// heads of `head_dim` features (0: not). Throws std::runtime_error when calibration lacks what the
/// recipe needs.
FeatureMap site_map(const std::string& site, const Recipe& recipe, const Calibration* calibration,
                    int64_t in_dim, int64_t head_dim);

/// out [rows, in_dim] := rows [first, first + rows) of a weight [out_dim, in_dim] in the basis of
/// `map` (fp64 inside); the mapped pages they came from are given back.
void load_weight_rows(const TensorView& weight, const FeatureMap& map, int64_t first,
                      FloatView out);
/// bias := bias + mean W^T of rows W of a weight in the basis of `map`; map.mean must not be empty.
void add_centering(const FeatureMap& map, const TensorView& weight, std::span<float> bias);

}  // namespace stamp
