#pragma once
// Tensors of files, checked against the shapes that an architecture expects.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/io/tensor_store.h"

namespace stamp {

/// Tensor `name` of `weights`; throws std::runtime_error naming `directory` when it is missing, not
/// F32, F16, BF16 or in blocks, or not of this shape.
const TensorView& checked_tensor(const TensorStore& weights, const std::filesystem::path& directory,
                                 const std::string& name, const Shape& shape);
/// The same for a vector, as fp32.
std::vector<float> checked_vector(const TensorStore& weights,
                                  const std::filesystem::path& directory, const std::string& name,
                                  int64_t size);

}  // namespace stamp
