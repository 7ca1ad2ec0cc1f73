#include "stamp/io/mmap.h"

#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <mutex>

#include "stamp/core/error.h"
#include "stamp/io/file_descriptor.h"

namespace stamp {
namespace {

// Live mappings, start -> end: madvise(MADV_DONTNEED) on other memory would erase its contents.
std::mutex registry_mutex;
std::map<uintptr_t, uintptr_t>& registry() {
  static auto* mappings = new std::map<uintptr_t, uintptr_t>();  // outlives static MappedFiles
  return *mappings;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const OpenedFile file = open_regular(path);
  if (file.bytes == 0) throw_runtime("{}: the file is empty", path.string());
  size_ = static_cast<size_t>(file.bytes);
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.descriptor.get(), 0);
  if (data == MAP_FAILED) throw_runtime("{}: cannot map, {}", path.string(), errno_text());
  data_ = static_cast<const std::byte*>(data);
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const std::lock_guard lock(registry_mutex);
  registry()[begin] = begin + size_;
}

MappedFile::~MappedFile() {
  const std::lock_guard lock(registry_mutex);
  registry().erase(reinterpret_cast<uintptr_t>(data_));
  ::munmap(const_cast<std::byte*>(data_), size_);
}

void drop_mapped_pages(const void* data, int64_t bytes) {
  if (data == nullptr || bytes <= 0) return;
  const auto begin = reinterpret_cast<uintptr_t>(data);
  const uintptr_t end = begin + static_cast<uintptr_t>(bytes);
  const std::lock_guard lock(registry_mutex);
  auto mapping = registry().upper_bound(begin);
  if (mapping == registry().begin()) return;
  --mapping;
  if (end < begin || end > mapping->second) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;
  // Advice only: a failure leaves the pages where they are.
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace stamp
