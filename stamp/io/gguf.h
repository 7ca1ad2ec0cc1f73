#pragma once
// The GGUF container: metadata by key, tensors in types of their own, raw data.
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "stamp/core/tensor.h"
#include "stamp/io/json.h"
#include "stamp/io/mmap.h"

namespace stamp {

/// One GGUF file of version 2 or 3, little-endian, memory-mapped. Views stay valid as long as the
/// mapping, file(), lives. Files are hostile until checked: counts, lengths and offsets against the
/// bytes that are there (before anything is allocated for them), value types, text that is not
/// UTF-8, keys and tensors that stand twice, sizes that overflow, tensor types that are unknown or
/// unsupported, rows that are not whole blocks, data outside the file, misaligned or shared by two
/// tensors each throw std::runtime_error naming file, item and reason.
class Gguf {
 public:
  static Gguf open(const std::filesystem::path& path);
  /// The same of a file's bytes, which must begin at a multiple of 64 and outlive the result;
  /// errors begin with `path`. There is no mapping to share: file() is null.
  static Gguf read(std::span<const std::byte> bytes, const std::filesystem::path& path);

  /// Values by key ("llama.block_count"), without the arrays: numbers, booleans and texts.
  const Json& metadata() const { return metadata_; }
  bool has_array(const std::string& key) const { return arrays_.contains(key); }
  /// The array under `key`; throws std::runtime_error when there is none, or when it holds more
  /// than 2^22 values (vocabularies have some hundred thousand).
  Json array(const std::string& key) const;
  /// By name as in the file; shapes in PyTorch's order (GGUF lists the innermost size first).
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  std::shared_ptr<const MappedFile> file() const { return file_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  friend class GgufReader;
  struct Array {
    uint32_t type = 0;  // of the elements
    uint64_t count = 0;
    size_t position = 0;  // in the file, of the first one
  };
  std::filesystem::path path_;
  std::span<const std::byte> bytes_;
  std::shared_ptr<const MappedFile> file_;
  Json metadata_ = Json::object();
  std::map<std::string, Array> arrays_;
  std::map<std::string, TensorView> tensors_;
};

/// True for a path that is read as GGUF where a model is expected: anything but a directory whose
/// name ends in ".gguf", and any regular file that begins with GGUF's magic.
bool is_gguf(const std::filesystem::path& path);

}  // namespace stamp
