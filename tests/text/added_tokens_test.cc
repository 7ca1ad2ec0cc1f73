#include "stamp/text/added_tokens.h"

#include <gtest/gtest.h>

namespace stamp {
namespace {

using Cut = std::vector<std::pair<std::string, int>>;

Cut cut(std::vector<AddedToken> tokens, std::string_view text) {
  Cut result;
  for (const Section& section : AddedTokenMatcher(std::move(tokens)).cut(text))
    result.emplace_back(section.text, section.id);
  return result;
}

TEST(AddedTokenMatcher, PrefersTheLeftmostThenTheLongest) {
  const std::vector<AddedToken> tokens = {{.id = 1, .content = "<a>"},
                                          {.id = 2, .content = "<a><b>"},
                                          {.id = 3, .content = "a><b>!"},
                                          {.id = 4, .content = "<"}};
  EXPECT_EQ(cut(tokens, "x<a><b>!"), (Cut{{"x", -1}, {"<a><b>", 2}, {"!", -1}}));
  EXPECT_EQ(cut(tokens, "<a><c<a>"), (Cut{{"<a>", 1}, {"<", 4}, {"c", -1}, {"<a>", 1}}));
  EXPECT_EQ(cut(tokens, "plain"), (Cut{{"plain", -1}}));
  EXPECT_EQ(cut(tokens, ""), Cut{});
  EXPECT_EQ(cut({}, "<a>"), (Cut{{"<a>", -1}}));
}

TEST(AddedTokenMatcher, FallsBackToAShorterTokenAtTheEndOfTheText) {
  const std::vector<AddedToken> tokens = {{.id = 1, .content = "ab"}, {.id = 2, .content = "abcd"}};
  EXPECT_EQ(cut(tokens, "xabc"), (Cut{{"x", -1}, {"ab", 1}, {"c", -1}}));
}

TEST(AddedTokenMatcher, IgnoresEmptyAndRepeatedTokens) {
  EXPECT_EQ(cut({{.id = 1, .content = ""}}, "ab"), (Cut{{"ab", -1}}));
  EXPECT_EQ(cut({{.id = 1, .content = "a"}, {.id = 2, .content = "a"}}, std::string_view("a\0", 2))
                .size(),
            2u);
}

TEST(AddedTokenMatcher, StripsBlanks) {
  const AddedToken both{.id = 1, .content = "T", .lstrip = true, .rstrip = true};
  EXPECT_EQ(cut({both}, "a \u00a0\tT\n\u3000b"),
            (Cut{{"a", -1}, {" \u00a0\tT\n\u3000", 1}, {"b", -1}}));
  EXPECT_EQ(cut({both}, " T T "), (Cut{{" T ", 1}, {"T ", 1}}));
  const AddedToken left{.id = 1, .content = "T", .lstrip = true};
  EXPECT_EQ(cut({left}, " T T x"), (Cut{{" T", 1}, {" T", 1}, {" x", -1}}));
}

TEST(AddedTokenMatcher, FindsSingleWordsOnlyBesideNonWords) {
  const AddedToken word{.id = 1, .content = "at", .single_word = true};
  EXPECT_EQ(cut({word}, "at"), (Cut{{"at", 1}}));
  EXPECT_EQ(cut({word}, "at, cat atom _at \u00e9at"),
            (Cut{{"at", 1}, {", cat atom _at \u00e9at", -1}}));
  EXPECT_EQ(cut({word}, "-at-"), (Cut{{"-", -1}, {"at", 1}, {"-", -1}}));
}

}  // namespace
}  // namespace stamp
