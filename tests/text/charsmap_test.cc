#include "stamp/text/charsmap.h"

#include <gtest/gtest.h>

#include "stamp/core/rng.h"
#include "tests/io/test_files.h"
#include "tests/text/sentencepiece_parts.h"

namespace stamp {
namespace {

TEST(Charsmap, LongestStringWins) {
  const Charsmap map(small_charsmap(), "test");
  EXPECT_EQ(map.normalize("ABAC\u00e9z"), "xyaCz");
  EXPECT_EQ(map.normalize(""), "");
}

TEST(Charsmap, GraphemesAreWhatTheShortestStringDecides) {
  const Charsmap map(small_charsmap(), "test");
  EXPECT_EQ(map.normalize_graphemes("ABAC\u00e9z"), "aBaCz");
  // "A" and a combining mark are one grapheme of three bytes, which "A" replaces as a whole; with
  // more marks it is taken apart.
  EXPECT_EQ(map.normalize_graphemes("A\u0301!"), "a!");
  EXPECT_EQ(map.normalize_graphemes("A\u0301\u0302\u0303!"), "a\u0301\u0302\u0303!");
}

TEST(Charsmap, RefusesBrokenBlobs) {
  const std::string good = small_charsmap();
  for (const std::string& blob : {std::string(), std::string("abc"), good.substr(0, 100),
                                  good + "x", std::string(8, '\xff'), std::string(4, '\0')})
    EXPECT_HAS(runtime_error_of([&] { Charsmap(blob, "test"); }), "test: ") << blob.size();
}

TEST(Charsmap, TextsCannotGrowWithoutBound) {
  const std::string good = small_charsmap();
  EXPECT_NO_THROW(Charsmap(good + std::string(1024, 'x') + '\0', "test"));
  EXPECT_HAS(runtime_error_of([&] { Charsmap(good + std::string(1025, 'x') + '\0', "test"); }),
             "a replacement of 1025 bytes");
}

TEST(Charsmap, CyclesTakeLinearTime) {
  // A trie whose node "a" is its own child, without a leaf: every place of the text matches for
  // ever.
  std::vector<uint32_t> units(256);
  units[0] = uint32_t{1} << 10;                // the root's children are at 1 ^ byte
  units[1 ^ 'a'] = uint32_t{'a'} << 10 | 'a';  // as are those of "a": 1 ^ 'a' ^ 'a'
  const auto bytes = static_cast<uint32_t>(4 * units.size());
  std::string blob(reinterpret_cast<const char*>(&bytes), 4);
  blob.append(reinterpret_cast<const char*>(units.data()), bytes);
  const std::string text(1'000'000, 'a');
  EXPECT_EQ(Charsmap(blob, "test").normalize(text), text);
}

TEST(Charsmap, RandomTriesAreHarmless) {
  Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    std::string blob = small_charsmap();
    for (int i = 0; i < 2000; ++i)
      blob[4 + rng.below(blob.size() - 5)] = static_cast<char>(rng.below(256));
    const Charsmap map(blob, "test");
    map.normalize("ABAC\u00e9z some text \u0301\u0301");
    map.normalize_graphemes("ABAC\u00e9z some text \u0301\u0301");
  }
}

TEST(Base64, Decodes) {
  EXPECT_EQ(decode_base64("aGVsbG8="), "hello");
  EXPECT_EQ(decode_base64("aGVsbG8h"), "hello!");
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("a b"), std::nullopt);
}

}  // namespace
}  // namespace stamp
