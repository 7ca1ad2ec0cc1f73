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

struct SafetensorsHeader {
  std::map<std::string, TensorView> tensors;    // views into the file
  std::map<std::string, std::string> metadata;  // values that are not text are left out
};
/// Of `file`, the bytes of a whole file. Nothing in the header is trusted; throws
/// std::runtime_error naming `where`, the tensor and the reason.
SafetensorsHeader read_safetensors_header(std::span<const std::byte> file,
                                          const std::string& where);

/// Tensors by the shard that holds them, of a model.safetensors.index.json. Throws
/// std::runtime_error naming `where` for anything else, and for shards that are not plain names
/// ending in .safetensors: none may lead out of the folder, nor to another index.
std::map<std::string, std::vector<std::string>> read_shard_index(const Json& json,
                                                                 const std::string& where);

}  // namespace stamp
