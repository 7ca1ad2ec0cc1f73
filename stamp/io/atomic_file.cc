#include "stamp/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>

#include "stamp/core/error.h"

namespace stamp {
namespace {

std::filesystem::path temporary_neighbour(const std::filesystem::path& path) {
  static std::atomic<uint64_t> counter{0};
  std::filesystem::path result = path;
  result += fmt::format(".tmp-{}-{}", ::getpid(), counter++);
  return result;
}

/// Goes past leftovers of a process that was killed and had the same number, as in containers.
int create_neighbour(const std::filesystem::path& path, std::filesystem::path& temporary) {
  int file = -1;
  do {
    temporary = temporary_neighbour(path);
    file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (file < 0 && errno == EEXIST);
  return file;
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& path)
    : path_(path), file_(create_neighbour(path_, temporary_)) {
  if (file_.get() < 0) throw_runtime("{}: cannot create, {}", path_.string(), errno_text());
}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  write_at(end_, bytes);
  end_ += static_cast<int64_t>(bytes.size());
}

void AtomicFile::write_at(int64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t chunk = std::min<size_t>(bytes.size(), size_t{1} << 30);
    const ssize_t written = ::pwrite(file_.get(), bytes.data(), chunk, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_runtime("{}: cannot write, {}", path_.string(), errno_text());
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += written;
  }
}

void AtomicFile::commit() {
  if (::fsync(file_.get()) != 0 || file_.close() != 0)
    throw_runtime("{}: cannot flush, {}", path_.string(), errno_text());
  if (::rename(temporary_.c_str(), path_.c_str()) != 0)
    throw_runtime("{}: cannot rename into place, {}", path_.string(), errno_text());
  committed_ = true;
}

void make_folders(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw_runtime("{}: cannot create the folder, {}", folder.string(), error.message());
}

}  // namespace stamp
