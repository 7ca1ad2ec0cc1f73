#include "stamp/io/file_descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "stamp/core/error.h"

namespace stamp {

FileDescriptor::~FileDescriptor() { close(); }

int FileDescriptor::close() {
  if (fd_ < 0) return 0;
  const int result = ::close(fd_);
  fd_ = -1;
  return result;
}

std::string errno_text() { return std::generic_category().message(errno); }

OpenedFile open_regular(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe without a writer must fail the check below, not wait.
  FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) throw_runtime("{}: cannot open, {}", path.string(), errno_text());
  struct stat status;
  if (::fstat(file.get(), &status) != 0)
    throw_runtime("{}: cannot read its status, {}", path.string(), errno_text());
  if (!S_ISREG(status.st_mode))
    throw_runtime("{}: expected a regular file, got {}", path.string(),
                  S_ISDIR(status.st_mode) ? "a directory" : "something else");
  return {std::move(file), static_cast<int64_t>(status.st_size)};
}

}  // namespace stamp
