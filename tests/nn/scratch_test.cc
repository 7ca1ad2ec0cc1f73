#include "stamp/nn/scratch.h"

#include <gtest/gtest.h>

#include <cstring>
#include <new>

namespace stamp {
namespace {

TEST(Scratch, IsThereAgainAfterMemoryRanOut) {
  std::memset(scratch(1000), 1, 1000);
  EXPECT_THROW(scratch(int64_t{1} << 60), std::bad_alloc);
  void* const again = scratch(1000);
  ASSERT_NE(again, nullptr);
  std::memset(again, 1, 1000);
}

}  // namespace
}  // namespace stamp
