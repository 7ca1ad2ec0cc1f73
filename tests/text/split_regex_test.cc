#include "stamp/text/split_regex.h"

#include <gtest/gtest.h>

#include "tests/io/test_files.h"

namespace stamp {
namespace {

using Pieces = std::vector<std::string_view>;

const std::string kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Pieces split(const std::string& pattern, std::string_view text) {
  Pieces pieces;
  SplitRegex(pattern).split(text, pieces);
  return pieces;
}

TEST(SplitRegex, KeepsMatchesAndWhatLiesBetween) {
  EXPECT_EQ(split("b+", "abbcb"), (Pieces{"a", "bb", "c", "b"}));
  EXPECT_EQ(split("b", "xyz"), (Pieces{"xyz"}));
  EXPECT_EQ(split("b", ""), Pieces{});
}

TEST(SplitRegex, CutsAtEmptyMatchesWithoutHanging) {
  EXPECT_EQ(split("x*", "a\u00e9b"), (Pieces{"a", "\u00e9", "b"}));
  EXPECT_EQ(split("(?=b)", "abab"), (Pieces{"a", "ba", "b"}));
}

TEST(SplitRegex, SplitsWordsAsLlama3) {
  EXPECT_EQ(split(kLlama3, "It's  12345 caf\u00e9s!\n\n x"),
            (Pieces{"It", "'s", " ", " ", "123", "45", " caf\u00e9s", "!\n\n", " x"}));
  EXPECT_EQ(split(kLlama3, "a  b"), (Pieces{"a", " ", " b"}));
  EXPECT_EQ(split(kLlama3, "x'LLy'\u017fz"), (Pieces{"x", "'LL", "y", "'\u017f", "z"}));
  EXPECT_EQ(split(kLlama3, "a  "), (Pieces{"a", "  "}));
}

TEST(SplitRegex, KnowsUnicodeWhiteSpaceOnly) {
  for (const char* blank : {"\t", "\x0b", "\u0085", "\u00a0", "\u1680", "\u2000", "\u200a",
                            "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"})
    EXPECT_EQ(split(R"(\s)", std::string("a") + blank + "b").size(), 3u) << blank;
  for (const char* other : {"\u200b", "\ufeff", "\u180e", "\x1c", "\x1f"})
    EXPECT_EQ(split(R"(\s)", std::string("a") + other + "b").size(), 1u) << other;
  EXPECT_EQ(split(R"([^\s]+)", "a\u180e b"), (Pieces{"a\u180e", " ", "b"}));
  EXPECT_EQ(split(R"(\S+)", "a\u180e b"), (Pieces{"a\u180e", " ", "b"}));
}

TEST(SplitRegex, SeesZeroBytes) {
  EXPECT_EQ(split(kLlama3, std::string_view("a\0b", 3)), (Pieces{"a", std::string_view("\0b", 2)}));
}

TEST(SplitRegex, RefusesPatternsItCannotHonour) {
  const auto error_of = [](const std::string& pattern) {
    return runtime_error_of([&] { SplitRegex regex(pattern); });
  };
  EXPECT_HAS(error_of("(a"), "regex '(a' does not compile, missing closing parenthesis");
  for (const char* pattern : {R"(\w+)", R"(\bx)", R"(\h)", R"(a\Kb)", R"((a)\1)", R"(\C)"})
    EXPECT_HAS(error_of(pattern), "unsupported escape");
  EXPECT_EQ(error_of(R"(\.\d\D\p{Lu}\P{M}\r\n\t\\)"), "");
}

TEST(SplitRegex, StopsExplodingPatterns) {
  const std::string text(60, 'a');
  EXPECT_HAS(runtime_error_of([&] { split(R"((?:a+)+\d)", text); }),
             "split regex failed at byte 0");
}

TEST(SplitRegex, WalksLongRunsInLinearTime) {
  const size_t length = 2'000'000;
  const std::string blanks(length, ' '), letters(length, 'x');
  EXPECT_EQ(split(kLlama3, blanks + "x").size(), 2u);
  EXPECT_EQ(split(kLlama3, letters).size(), 1u);
  EXPECT_EQ(split(kLlama3, blanks + "\n" + blanks).size(), 2u);
}

}  // namespace
}  // namespace stamp
