#include "stamp/core/memory_reserve.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <new>

namespace stamp {
namespace {

// Bytes: for the JSON of the largest tokenizers; less where there is not as much.
constexpr size_t kReserve = size_t{32} << 20, kLeastReserve = size_t{1} << 16;

std::atomic<void*> reserve{nullptr};
std::atomic<bool> installed{false};

void use_reserve() {
  void* const kept = reserve.exchange(nullptr);
  if (kept == nullptr) throw std::bad_alloc();
  std::free(kept);
  // In the middle of another error nothing may be thrown: the allocation is tried again.
  if (std::uncaught_exceptions() == 0) throw std::bad_alloc();
}

bool has_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

}  // namespace

void keep_memory_reserve() {
  if (!installed.exchange(true)) std::set_new_handler(use_reserve);
  renew_memory_reserve();
}

void renew_memory_reserve() {
  if (!installed || reserve != nullptr) return;
  void* none = nullptr;
  void* fresh = nullptr;
  for (size_t bytes = kReserve; fresh == nullptr && bytes >= kLeastReserve; bytes /= 2)
    fresh = std::malloc(bytes);
  if (!reserve.compare_exchange_strong(none, fresh)) std::free(fresh);
}

void require_address_space(int64_t bytes) {
  if (!has_limit()) return;
  void* const probe = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (probe == MAP_FAILED) throw std::bad_alloc();
  munmap(probe, static_cast<size_t>(bytes));
}

}  // namespace stamp
