#include "stamp/pipelines/windows.h"

#include <gtest/gtest.h>

#include <numeric>

namespace stamp {
namespace {

std::vector<int32_t> counting(size_t count) {
  std::vector<int32_t> ids(count);
  std::iota(ids.begin(), ids.end(), 10);
  return ids;
}

TEST(Windows, AreDisjointAndDropTheTail) {
  const auto windows = make_windows(counting(25), -1, {.context = 10});
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[0].front(), 10);
  EXPECT_EQ(windows[1].front(), 20);
  EXPECT_EQ(windows[1].back(), 29);
}

TEST(Windows, BosInEveryOrOnlyTheFirst) {
  const auto every = make_windows(counting(25), 1, {.context = 10});
  ASSERT_EQ(every.size(), 2u);
  EXPECT_EQ(every[0], (std::vector<int32_t>{1, 10, 11, 12, 13, 14, 15, 16, 17, 18}));
  EXPECT_EQ(every[1][0], 1);
  EXPECT_EQ(every[1][1], 19);
  const auto first = make_windows(counting(25), 1, {.context = 10, .bos_every_window = false});
  EXPECT_EQ(first[0][0], 1);
  EXPECT_EQ(first[1][0], 19);
}

TEST(Windows, LimitAndShift) {
  const auto windows =
      make_windows(counting(50), -1, {.context = 10, .max_windows = 2, .first_token = 3});
  ASSERT_EQ(windows.size(), 2u);
  EXPECT_EQ(windows[0][0], 13);
}

TEST(Windows, TooShortTextsAreErrors) {
  EXPECT_THROW(make_windows(counting(9), -1, {.context = 10}), std::invalid_argument);
  EXPECT_THROW(make_windows(counting(9), -1, {.context = 1}), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
