#pragma once
// Writing a file in pieces so that its name never shows a half-written state.
#include <filesystem>
#include <string_view>

#include "stamp/io/file_descriptor.h"

namespace stamp {

/// A temporary neighbour of `path` that takes its name on commit(); without commit() it vanishes.
class AtomicFile {
 public:
  /// Throws std::runtime_error naming path and reason, as do the other members.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  /// At a place of its own; write() does not move.
  void write_at(int64_t offset, std::string_view bytes);
  /// Flushes to the disk and renames.
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  FileDescriptor file_;
  int64_t end_ = 0;  // of what write() wrote
  bool committed_ = false;
};

/// Creates a folder and those above it that are not there. Throws std::runtime_error naming it.
void make_folders(const std::filesystem::path& folder);

}  // namespace stamp
