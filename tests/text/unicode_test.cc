#include "stamp/text/unicode.h"

#include <gtest/gtest.h>

#include "stamp/core/rng.h"
#include "stamp/text/byte_alphabet.h"

namespace stamp {
namespace {

const std::string kFffd = "\xEF\xBF\xBD";

TEST(DecodeUtf8, InvertsAppendForEveryScalarValue) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string text;
    append_utf8(c, text);
    const CodePoint point = decode_utf8(text, 0);
    ASSERT_TRUE(point.valid);
    ASSERT_EQ(point.value, c);
    ASSERT_EQ(point.bytes, text.size());
  }
}

// Expectations from Python's bytes.decode("utf-8", errors="replace").
TEST(ReplaceInvalidUtf8, ReplacesMaximalSubparts) {
  const auto times = [](int n) {
    std::string result;
    for (int i = 0; i < n; ++i) result += kFffd;
    return result;
  };
  const std::string valid("a\0\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 11);
  EXPECT_EQ(replace_invalid_utf8(valid), valid);
  EXPECT_EQ(replace_invalid_utf8("\x80"), times(1));
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF"), times(2));          // overlong
  EXPECT_EQ(replace_invalid_utf8("\xE0\x80\xAF"), times(3));      // overlong
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80"), times(3));      // surrogate
  EXPECT_EQ(replace_invalid_utf8("\xF4\x91\x92\x93"), times(4));  // above 10FFFF
  EXPECT_EQ(replace_invalid_utf8("\xF5\x80"), times(2));
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82"), times(1));      // cut short
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\x98"), times(1));  // cut short
  EXPECT_EQ(replace_invalid_utf8("\xE2\x82"
                                 "A"),
            times(1) + "A");
  EXPECT_EQ(replace_invalid_utf8("\xF0\x9F\xC3\xA9"), times(1) + "\xC3\xA9");
  EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                                 "A"),
            times(4) + "A");
}

TEST(ReplaceInvalidUtf8, MakesAnyBytesValid) {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    for (int i = 0; i < 100; ++i) bytes += static_cast<char>(rng.next());
    const std::string once = replace_invalid_utf8(bytes);
    ASSERT_EQ(replace_invalid_utf8(once), once);
  }
}

TEST(ToNfc, ComposesAndOrders) {
  EXPECT_EQ(to_nfc("plain"), "plain");
  EXPECT_EQ(to_nfc("e\u0301"), "\u00e9");
  EXPECT_EQ(to_nfc("\u212b \u2126"), "\u00c5 \u03a9");  // singletons
  EXPECT_EQ(to_nfc("q\u0307\u0323"), "q\u0323\u0307");  // ordering
  EXPECT_EQ(to_nfc("\u1e0b\u0323"), "\u1e0d\u0307");    // d, dot above, dot below
  EXPECT_EQ(to_nfc("\u1100\u1161\u11a8"), "\uac01");    // Hangul
  EXPECT_EQ(to_nfc("\uac00\u11a8"), "\uac01");
  EXPECT_EQ(to_nfc("\u0958"), "\u0915\u093c");  // composition exclusion
  EXPECT_EQ(to_nfc("\ufb1d"), "\u05d9\u05b4");
  EXPECT_EQ(to_nfc("a\u0301\u0301"), "\u00e1\u0301");  // the second is blocked
  EXPECT_EQ(to_nfc("\ufb01\u00b2"), "\ufb01\u00b2");   // compatibility forms stay
  EXPECT_EQ(to_nfc(std::string("\0e\u0301", 4)), std::string("\0\u00e9", 3));
}

TEST(ToNfc, SortsLongRunsOfMarksQuickly) {
  std::string text = "a";
  for (int i = 0; i < 200'000; ++i) text += "\u0301\u0323";
  const std::string normal = to_nfc(text);
  EXPECT_EQ(normal.substr(0, 7), "\u1ea1\u0323\u0323");
  EXPECT_EQ(to_nfc(normal), normal);
}

TEST(CharacterClasses, FollowUnicode) {
  for (const char32_t c :
       {U'\t', U'\r', U' ', U'\u0085', U'\u00A0', U'\u1680', U'\u2003', U'\u3000'})
    EXPECT_TRUE(is_white_space(c)) << uint32_t{c};
  for (const char32_t c : {U'a', U'\0', U'\x1C', U'\u180E', U'\u200B', U'\uFEFF'})
    EXPECT_FALSE(is_white_space(c)) << uint32_t{c};
  for (const char32_t c : {U'a', U'_', U'7', U'\u00E9', U'\u0301', U'\u203F', U'\u24B6', U'\u2160'})
    EXPECT_TRUE(is_word(c)) << uint32_t{c};
  for (const char32_t c : {U' ', U'-', U'\u00B2', U'\u20AC', U'\uE000'})
    EXPECT_FALSE(is_word(c)) << uint32_t{c};
}

TEST(ByteAlphabet, SpellsEveryByteByItsOwnPrintableCharacter) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const std::string spelled = spell_bytes(all);
  EXPECT_EQ(spelled_bytes(spelled), all);
  EXPECT_EQ(replace_invalid_utf8(spelled), spelled);
  EXPECT_EQ(spell_bytes(" a\n\x7f\xad"), "\u0120a\u010a\u0121\u0143");
}

TEST(ByteAlphabet, LeavesTokensWithOtherCharactersAsTheyAre) {
  EXPECT_EQ(spelled_bytes("\u0120b"), " b");
  EXPECT_EQ(spelled_bytes("\u0120 b"), "\u0120 b");
  EXPECT_EQ(spelled_bytes("\u4e2d\u0120"), "\u4e2d\u0120");
}

}  // namespace
}  // namespace stamp
