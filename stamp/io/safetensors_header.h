#pragma once
// What safetensors files say about themselves: the header of one, the index of several.
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/io/json.h"

namespace stamp {

/// Views into `file` (the bytes of a whole file) by tensor name. Nothing in the header is trusted;
/// throws std::runtime_error naming `where`, the tensor and the reason.
std::map<std::string, TensorView> read_safetensors_header(std::span<const std::byte> file,
                                                          const std::string& where);

/// Tensors by the shard that holds them, of a model.safetensors.index.json. Throws
/// std::runtime_error naming `where` for anything else, and for shards that are not plain names
/// ending in .safetensors: none may lead out of the folder, nor to another index.
std::map<std::string, std::vector<std::string>> read_shard_index(const Json& json,
                                                                 const std::string& where);

}  // namespace stamp
