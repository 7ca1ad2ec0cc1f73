#include "stamp/text/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace stamp {
namespace {

TEST(Utf8, WaitsForWholeCharacters) {
  EXPECT_EQ(complete_utf8_prefix(""), 0u);
  EXPECT_EQ(complete_utf8_prefix("abc"), 3u);
  for (const std::string character : {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"})
    for (size_t cut = 1; cut <= character.size(); ++cut)
      EXPECT_EQ(complete_utf8_prefix("x" + character.substr(0, cut)),
                cut == character.size() ? 1 + cut : 1u);
}

TEST(Utf8, NeverHoldsBackWhatCannotBecomeValid) {
  EXPECT_EQ(complete_utf8_prefix("\x80\x80\x80\x80"), 4u);
}

}  // namespace
}  // namespace stamp
