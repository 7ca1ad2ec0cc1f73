// Preloaded into the program: counts what it does to files, and at one of these operations kills it
// or reports a full disk. Environment: FILE_FAULTS_COUNT (file that gets the count at the end),
// FILE_FAULTS_KILL_AT and FILE_FAULTS_FULL_AT (1: the first operation).
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

namespace {

long number_of(const char* name) {
  const char* const text = getenv(name);
  return text == nullptr ? 0 : atol(text);
}

std::atomic<long> operations{0};
const long kill_at = number_of("FILE_FAULTS_KILL_AT"), full_at = number_of("FILE_FAULTS_FULL_AT");

struct CountAtEnd {
  ~CountAtEnd() {
    const char* const path = getenv("FILE_FAULTS_COUNT");
    if (path == nullptr) return;
    if (FILE* const file = fopen(path, "w")) {
      fprintf(file, "%ld\n", operations.load());
      fclose(file);
    }
  }
} count_at_end;

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

/// True when the disk is full from now on. `before_death` does half of the operation.
template <class Half>
bool count(Half before_death) {
  const long number = ++operations;
  if (number == kill_at) {
    before_death();
    kill(getpid(), SIGKILL);
  }
  return full_at > 0 && number >= full_at;
}

bool count() {
  return count([] {});
}

int no_space() {
  errno = ENOSPC;
  return -1;
}

}  // namespace

extern "C" {

ssize_t pwrite(int file, const void* bytes, size_t size, off_t offset) {
  static const auto original = next<decltype(pwrite)>("pwrite");
  if (count([&] { original(file, bytes, size / 2, offset); })) return no_space();
  return original(file, bytes, size, offset);
}

ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t offset) {
  return pwrite(file, bytes, size, offset);
}

int fsync(int file) {
  static const auto original = next<decltype(fsync)>("fsync");
  return count() ? no_space() : original(file);
}

int rename(const char* from, const char* to) noexcept {
  static const auto original = next<int(const char*, const char*)>("rename");
  count();
  return original(from, to);
}

int mkdir(const char* path, mode_t mode) noexcept {
  static const auto original = next<int(const char*, mode_t)>("mkdir");
  return count() ? no_space() : original(path, mode);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  static const auto original = next<int(int, const char*, int)>("unlinkat");
  count();
  return original(folder, path, flags);
}

}  // extern "C"
