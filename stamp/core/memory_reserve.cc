#include "stamp/core/memory_reserve.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <exception>
#include <new>

namespace stamp {
namespace {

// Bytes: for the JSON of the largest tokenizers; less where there is not as much.
constexpr size_t kReserve = size_t{16} << 20, kLeastReserve = size_t{1} << 16;

std::atomic<void*> to_go_on{nullptr}, to_give_up{nullptr};
std::atomic<bool> installed{false};
std::atomic<bool> is_short{false};

bool give_back(std::atomic<void*>& reserve) {
  void* const kept = reserve.exchange(nullptr);
  std::free(kept);
  return kept != nullptr;
}

void use_reserve() {
  is_short = true;
  if (give_back(to_go_on)) return;
  if (!give_back(to_give_up)) throw std::bad_alloc();
  // In the middle of another error nothing may be thrown: the allocation is tried again.
  if (std::uncaught_exceptions() == 0) throw std::bad_alloc();
}

bool has_limit() {
  rlimit limit{};
  return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

void set_aside(std::atomic<void*>& reserve) {
  if (reserve != nullptr) return;
  void* none = nullptr;
  void* fresh = nullptr;
  // Only where as much again remains: else everything that follows would fail.
  for (size_t bytes = kReserve; fresh == nullptr && bytes >= kLeastReserve; bytes /= 2)
    if (void* const twice = std::malloc(2 * bytes)) fresh = std::realloc(twice, bytes);
  if (!reserve.compare_exchange_strong(none, fresh)) std::free(fresh);
}

}  // namespace

void keep_memory_reserve() {
  // The C library would set 64 MiB of address space aside for every thread that allocates.
  if (has_limit()) mallopt(M_ARENA_MAX, 1);
  std::set_new_handler(use_reserve);
  installed = true;
  renew_memory_reserve();
}

void renew_memory_reserve() {
  if (!installed) return;
  set_aside(to_give_up);
  set_aside(to_go_on);
  is_short = false;
}

void require_memory() {
  if (is_short) throw std::bad_alloc();
}

void require_address_space(int64_t bytes) {
  if (!has_limit()) return;
  void* const probe = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (probe == MAP_FAILED) throw std::bad_alloc();
  munmap(probe, static_cast<size_t>(bytes));
}

}  // namespace stamp
