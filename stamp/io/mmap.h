#pragma once
// Read-only mapping of a whole file.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace stamp {

class MappedFile {
 public:
  /// Maps `path`. Throws std::runtime_error (file, reason) when it cannot be opened, is not a
  /// regular file or is empty.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Tells the kernel that the pages wholly inside [data, data + bytes) of a mapping will not be
/// needed soon; they are read again from the file when touched. Does nothing for other memory.
void drop_mapped_pages(const void* data, int64_t bytes);

}  // namespace stamp
