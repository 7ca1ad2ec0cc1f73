#include "stamp/models/checked_tensor.h"

#include "stamp/core/error.h"

namespace stamp {

const TensorView& checked_tensor(const TensorStore& weights, const std::filesystem::path& directory,
                                 const std::string& name, const Shape& shape) {
  const TensorView& tensor = weights.at(name);
  if (!is_weight_type(tensor.dtype))
    throw_runtime("{}: tensor {}: expected F32, F16, BF16 or a type in blocks, got {}",
                  directory.string(), name, dtype_name(tensor.dtype));
  if (tensor.shape != shape)
    throw_runtime("{}: tensor {}: expected shape {}, got {}; config.json and weights do not agree",
                  directory.string(), name, to_string(shape), to_string(tensor.shape));
  return tensor;
}

std::vector<float> checked_vector(const TensorStore& weights,
                                  const std::filesystem::path& directory, const std::string& name,
                                  int64_t size) {
  std::vector<float> values(static_cast<size_t>(size));
  to_f32(checked_tensor(weights, directory, name, {size}), 0, values);
  return values;
}

}  // namespace stamp
