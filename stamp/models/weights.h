#pragma once
// Tensors of a model directory, checked against the shapes that the architecture expects.
#include <string>
#include <vector>

#include "stamp/models/model.h"

namespace stamp {

/// Tensor `name`; throws std::runtime_error when it is missing, not F32/F16/BF16, or not of this
/// shape.
const TensorView& checked_tensor(const ModelSource& source, const std::string& name,
                                 const Shape& shape);
/// The same for a vector, as fp32.
std::vector<float> checked_vector(const ModelSource& source, const std::string& name, int64_t size);

/// One weight of a linear: `name` + ".weight" under `prefix`, and ".bias" when `bias`.
struct WeightRequest {
  std::string name;  // "self_attn.q_proj"
  int64_t out_dim = 0, in_dim = 0;
  bool bias = false;
};
/// Weights of layer `index` ("model.layers.3." in the file, "layers.3." in recipes and reports).
std::vector<LinearWeight> layer_weights(const ModelSource& source, int64_t index,
                                        const std::vector<WeightRequest>& requests);
/// Lets the mapped pages of weights go of which a converted copy exists.
void drop_pages(const std::vector<LinearWeight>& weights);

}  // namespace stamp
