#include "stamp/core/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace stamp {
namespace {

TEST(Parallel, VisitsEveryIndexOnce) {
  std::vector<std::atomic<int>> visits(1000);
  parallel_for(1000, [&](int64_t i) { ++visits[static_cast<size_t>(i)]; });
  for (const auto& v : visits) EXPECT_EQ(v, 1);
}

TEST(Parallel, RangesCoverWithoutOverlap) {
  for (const int64_t count : {0, 1, 7, 64, 1001}) {
    std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
    parallel_ranges(count, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    for (const auto& v : visits) EXPECT_EQ(v, 1);
  }
}

TEST(Parallel, RethrowsABodysException) {
  EXPECT_THROW(parallel_for(100,
                            [](int64_t i) {
                              if (i == 42) throw std::runtime_error("42");
                            }),
               std::runtime_error);
}

TEST(Parallel, ThreadCountIsChecked) {
  EXPECT_THROW(set_threads(-1), std::invalid_argument);
  EXPECT_THROW(set_threads(5000), std::invalid_argument);
  set_threads(2);
  EXPECT_EQ(threads(), 2);
  set_threads(0);
  EXPECT_GE(threads(), 1);
}

}  // namespace
}  // namespace stamp
