// model.safetensors.index.json: no shard lies outside the folder of the index.
#include <filesystem>

#include "stamp/io/safetensors_header.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  fuzz::accepted([&] {
    const Json json = parse_json(fuzz::text_of(data, size), fuzz::kWhere);
    const std::filesystem::path folder = "folder";
    for (const auto& [shard, tensors] : read_shard_index(json, fuzz::kWhere)) {
      const auto path = (folder / shard).lexically_normal();
      fuzz::require(path.parent_path() == folder && path.filename() == shard,
                    "a shard outside the folder");
      fuzz::require(shard.find('\0') == shard.npos && !tensors.empty(), "a shard that is none");
    }
  });
  return 0;
}
