#include "stamp/text/prompt_text.h"

#include <gtest/gtest.h>

namespace stamp {
namespace {

TEST(PromptText, LowerCaseAsPythonHasIt) {
  EXPECT_EQ(lower_case("A small CAT"), "a small cat");
  EXPECT_EQ(lower_case("\u00c4\u0416\u1e9e\U00010400"), "\u00e4\u0436\u00df\U00010428");
  EXPECT_EQ(lower_case("\u0130"), "i\u0307");
  EXPECT_EQ(lower_case("\u039f\u0394\u039f\u03a3 \u03a3\u0391"),
            "\u03bf\u03b4\u03bf\u03c2 \u03c3\u03b1");
  EXPECT_EQ(lower_case("\u03a3"), "\u03c3");
}

TEST(PromptText, StripAsPythonHasIt) {
  EXPECT_EQ(strip(" \t\u00a0a b\u3000\x1f\n"), "a b");
  EXPECT_EQ(strip("\u200b a"), "\u200b a");
  EXPECT_EQ(strip("  "), "");
  EXPECT_EQ(strip(""), "");
}

}  // namespace
}  // namespace stamp
