#pragma once
// Opening regular files with POSIX calls, for the readers and writers of this folder.
#include <cstdint>
#include <filesystem>
#include <string>

namespace stamp {

/// Owner of a file descriptor.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor();
  int get() const { return fd_; }
  /// Closes early and returns close()'s result, so that a late write error is seen.
  int close();

 private:
  int fd_;
};

struct OpenedFile {
  FileDescriptor descriptor;
  int64_t bytes;
};

/// Opens `path` for reading. Throws std::runtime_error naming path and reason when that fails or
/// when it is no regular file (a directory, a pipe that would block, ...).
OpenedFile open_regular(const std::filesystem::path& path);

/// Text of the current errno.
std::string errno_text();

}  // namespace stamp
