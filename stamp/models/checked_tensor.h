#pragma once
// Tensors of files, checked against the shapes that an architecture expects.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/io/safetensors.h"

namespace stamp {

/// Tensor `name` of `weights`; throws std::runtime_error naming `directory` when it is missing, not
/// F32/F16/BF16, or not of this shape.
const TensorView& checked_tensor(const Safetensors& weights, const std::filesystem::path& directory,
                                 const std::string& name, const Shape& shape);
/// The same for a vector, as fp32.
std::vector<float> checked_vector(const Safetensors& weights,
                                  const std::filesystem::path& directory, const std::string& name,
                                  int64_t size);

}  // namespace stamp
