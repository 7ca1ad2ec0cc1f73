#include "stamp/core/memory_reserve.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <list>
#include <new>
#include <string>
#include <vector>

namespace stamp {
namespace {

/// No more address space than is in use, until the end of the scope.
class NoMoreMemory {
 public:
  NoMoreMemory() {
    getrlimit(RLIMIT_AS, &before_);
    rlimit none = before_;
    std::ifstream("/proc/self/statm") >> none.rlim_cur;
    none.rlim_cur *= static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
    setrlimit(RLIMIT_AS, &none);
  }
  ~NoMoreMemory() { setrlimit(RLIMIT_AS, &before_); }
  bool holds() const {
    rlimit now{};
    return getrlimit(RLIMIT_AS, &now) == 0 && now.rlim_cur != before_.rlim_cur;
  }

 private:
  rlimit before_{};
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

/// Why address space cannot be limited here; empty when it can.
std::string obstacle() {
  if (kSanitized) return "sanitizers need address space of their own";
  return NoMoreMemory().holds() ? ""
                                : "this system (qemu, say) takes no limit of the address space";
}

constexpr size_t kLarge = size_t{8} << 20;  // of bytes: more than malloc keeps

struct AllocatesWhenDestroyed {
  bool& done;
  ~AllocatesWhenDestroyed() {  // terminates the program when it throws
    const std::vector<char> needed(kLarge);
    done = needed.size() == kLarge;
  }
};

TEST(MemoryReserve, IsThereForDestructors) {
  if (!obstacle().empty()) GTEST_SKIP() << obstacle();
  keep_memory_reserve();
  bool done = false;
  {
    const NoMoreMemory scope;
    EXPECT_THROW(
        {
          std::list<std::vector<char>> wanted;
          const AllocatesWhenDestroyed cleanup{done};
          while (true) wanted.emplace_back(kLarge);
        },
        std::bad_alloc);
  }
  EXPECT_TRUE(done);
  renew_memory_reserve();
  done = false;
  {
    const NoMoreMemory scope;
    // Of an error that is no lack of memory, too.
    EXPECT_THROW(
        {
          const AllocatesWhenDestroyed cleanup{done};
          throw std::runtime_error("another");
        },
        std::runtime_error);
  }
  EXPECT_TRUE(done);
  std::set_new_handler(nullptr);
}

bool is_short() {
  try {
    require_memory();
    return false;
  } catch (const std::bad_alloc&) {
    return true;
  }
}

TEST(MemoryReserve, TheFirstAllocationThatFailsGoesOn) {
  if (!obstacle().empty()) GTEST_SKIP() << obstacle();
  keep_memory_reserve();
  EXPECT_FALSE(is_short());
  {
    const NoMoreMemory scope;
    std::list<std::vector<char>> wanted;
    EXPECT_NO_THROW(while (!is_short()) wanted.emplace_back(kLarge));
  }
  EXPECT_TRUE(is_short());
  renew_memory_reserve();
  EXPECT_FALSE(is_short());
  std::set_new_handler(nullptr);
}

TEST(MemoryReserve, AsksForAddressSpace) {
  if (!obstacle().empty()) GTEST_SKIP() << obstacle();
  require_address_space(1 << 20);
  const NoMoreMemory scope;
  EXPECT_THROW(require_address_space(int64_t{64} << 20), std::bad_alloc);
}

}  // namespace
}  // namespace stamp
