#include "stamp/io/safetensors.h"

#include <system_error>

#include "stamp/core/error.h"
#include "stamp/io/json.h"
#include "stamp/io/mmap.h"
#include "stamp/io/safetensors_header.h"

namespace stamp {

Safetensors Safetensors::open(const std::filesystem::path& file) {
  Safetensors result(file);
  result.add_file(file, nullptr);
  return result;
}

Safetensors Safetensors::open_model(const std::filesystem::path& directory,
                                    const std::string& stem) {
  const auto single = directory / (stem + ".safetensors");
  const auto index = directory / (stem + ".safetensors.index.json");
  std::error_code ignored;  // a file that cannot be examined gets its message when it is opened
  if (std::filesystem::symlink_status(single, ignored).type() !=
      std::filesystem::file_type::not_found)
    return open(single);
  if (std::filesystem::symlink_status(index, ignored).type() ==
      std::filesystem::file_type::not_found)
    throw_runtime("{}: expected {} or {}, found neither", directory.string(),
                  single.filename().string(), index.filename().string());
  Safetensors result(directory);
  for (const auto& [shard, tensors] : read_shard_index(read_json(index), index.string()))
    result.add_file(directory / shard, &tensors);
  return result;
}

void Safetensors::add_file(const std::filesystem::path& file,
                           const std::vector<std::string>* expected) {
  const auto mapping = std::make_shared<MappedFile>(file);
  SafetensorsHeader header = read_safetensors_header(mapping->bytes(), file.string());
  if (expected != nullptr)
    for (const std::string& name : *expected)
      if (!header.tensors.contains(name))
        throw_runtime("{}: the index says that tensor '{}' is here, but it is not", file.string(),
                      name);
  add(std::move(header.tensors), mapping, file.string());
  if (expected == nullptr) metadata_ = std::move(header.metadata);
}

}  // namespace stamp
