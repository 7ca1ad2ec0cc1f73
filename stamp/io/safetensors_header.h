#pragma once
// The header of one safetensors file.
#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "stamp/core/tensor.h"

namespace stamp {

/// Views into `file` (the bytes of a whole file) by tensor name. Nothing in the header is trusted;
/// throws std::runtime_error naming `where`, the tensor and the reason.
std::map<std::string, TensorView> read_safetensors_header(std::span<const std::byte> file,
                                                          const std::string& where);

}  // namespace stamp
