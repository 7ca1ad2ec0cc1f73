#include "stamp/models/weights.h"

#include "stamp/core/error.h"
#include "stamp/io/mmap.h"

namespace stamp {

const TensorView& checked_tensor(const ModelSource& source, const std::string& name,
                                 const Shape& shape) {
  const TensorView& tensor = source.weights().at(name);
  if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16 && tensor.dtype != DType::kBF16)
    throw_runtime("{}: tensor {}: expected F32, F16 or BF16, got {}", source.directory().string(),
                  name, dtype_name(tensor.dtype));
  if (tensor.shape != shape)
    throw_runtime("{}: tensor {}: expected shape {}, got {}; config.json and weights do not agree",
                  source.directory().string(), name, to_string(shape), to_string(tensor.shape));
  return tensor;
}

std::vector<float> checked_vector(const ModelSource& source, const std::string& name,
                                  int64_t size) {
  std::vector<float> values(static_cast<size_t>(size));
  to_f32(checked_tensor(source, name, {size}), 0, values);
  return values;
}

std::vector<LinearWeight> layer_weights(const ModelSource& source, int64_t index,
                                        const std::vector<WeightRequest>& requests) {
  std::vector<LinearWeight> weights;
  for (const WeightRequest& request : requests) {
    const std::string name = fmt::format("layers.{}.{}", index, request.name);
    LinearWeight weight{
        name,
        checked_tensor(source, "model." + name + ".weight", {request.out_dim, request.in_dim}),
        std::nullopt};
    if (request.bias)
      weight.bias = checked_tensor(source, "model." + name + ".bias", {request.out_dim});
    weights.push_back(std::move(weight));
  }
  return weights;
}

void drop_pages(const std::vector<LinearWeight>& weights) {
  for (const LinearWeight& part : weights) drop_mapped_pages(part.weight.data, part.weight.bytes());
}

}  // namespace stamp
