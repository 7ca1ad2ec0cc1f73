#include "stamp/text/bpe.h"

#include <gtest/gtest.h>

#include "stamp/core/rng.h"
#include "stamp/text/byte_alphabet.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

/// All 256 bytes (id = byte), then the results of the merges in order.
Vocabulary vocabulary_for(const Merges& merges) {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte)
    vocabulary.emplace(spell_bytes(std::string(1, static_cast<char>(byte))), byte);
  for (const auto& [left, right] : merges)
    vocabulary.emplace(left + right, static_cast<int32_t>(vocabulary.size()));
  return vocabulary;
}

std::vector<int32_t> encode(const Bpe& bpe, std::string_view piece) {
  std::vector<int32_t> ids;
  bpe.encode(piece, ids);
  return ids;
}

/// The definition: look for the lowest rank, leftmost, merge, again.
std::vector<int32_t> encode_slowly(const Merges& merges, const Vocabulary& vocabulary,
                                   std::string_view piece) {
  std::vector<std::string> parts;
  for (const char c : piece) parts.push_back(spell_bytes(std::string(1, c)));
  while (true) {
    size_t best_rank = merges.size(), best = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      const auto found = std::find(merges.begin(), merges.end(), std::pair(parts[i], parts[i + 1]));
      const auto rank = static_cast<size_t>(found - merges.begin());
      if (rank < best_rank) best_rank = rank, best = i;
    }
    if (best_rank == merges.size()) break;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  std::vector<int32_t> ids;
  for (const std::string& part : parts) ids.push_back(vocabulary.at(part));
  return ids;
}

TEST(Bpe, MergesByRankThenFromTheLeft) {
  const Merges merges = {{"b", "c"}, {"a", "b"}, {"a", "a"}};
  const Bpe bpe(vocabulary_for(merges), merges, {});
  EXPECT_EQ(encode(bpe, "abc"), (std::vector<int32_t>{'a', 256}));
  EXPECT_EQ(encode(bpe, "ab"), (std::vector<int32_t>{257}));
  EXPECT_EQ(encode(bpe, "aaa"), (std::vector<int32_t>{258, 'a'}));
  EXPECT_EQ(encode(bpe, std::string_view("\0\xff", 2)), (std::vector<int32_t>{0, 255}));
  EXPECT_EQ(encode(bpe, ""), std::vector<int32_t>{});
}

TEST(Bpe, AgreesWithTheDefinitionOnRandomMerges) {
  Rng rng(7);
  for (int round = 0; round < 30; ++round) {
    Merges merges;
    std::vector<std::string> parts = {"a", "b", "c"};
    for (int i = 0; i < 25; ++i) {
      const std::string left = parts[rng.below(parts.size())],
                        right = parts[rng.below(parts.size())];
      if (std::find(merges.begin(), merges.end(), std::pair(left, right)) != merges.end()) continue;
      merges.emplace_back(left, right);
      parts.push_back(left + right);
    }
    const Vocabulary vocabulary = vocabulary_for(merges);
    const Bpe bpe(vocabulary, merges, {});
    for (int text = 0; text < 20; ++text) {
      std::string piece;
      for (uint64_t i = rng.below(40); i > 0; --i) piece += static_cast<char>('a' + rng.below(3));
      ASSERT_EQ(encode(bpe, piece), encode_slowly(merges, vocabulary, piece)) << piece;
    }
  }
}

TEST(Bpe, TakesKnownPiecesWholeWhenMergesAreIgnored) {
  const Merges merges = {{"b", "c"}};
  Vocabulary vocabulary = vocabulary_for(merges);
  vocabulary.emplace("\u0120abc", 999);
  EXPECT_EQ(encode(Bpe(vocabulary, merges, {.ignore_merges = true}), " abc"),
            (std::vector<int32_t>{999}));
  EXPECT_EQ(encode(Bpe(vocabulary, merges, {.ignore_merges = true}), " abcd"),
            (std::vector<int32_t>{' ', 'a', 256, 'd'}));
  EXPECT_EQ(encode(Bpe(vocabulary, merges, {}), " abc"), (std::vector<int32_t>{' ', 'a', 256}));
}

TEST(Bpe, RefusesGapsInTheVocabulary) {
  const auto error_of = [](const Vocabulary& vocabulary, const Merges& merges) {
    return runtime_error_of([&] { Bpe(vocabulary, merges, {}); });
  };
  Vocabulary no_a = vocabulary_for({});
  no_a.erase("a");
  EXPECT_HAS(error_of(no_a, {}), "the byte 'a' is not in the vocabulary");
  EXPECT_HAS(error_of(vocabulary_for({}), {{"ab", "c"}}), "left part of a merge 'ab'");
  EXPECT_HAS(error_of(vocabulary_for({}), {{"a", "bc"}}), "right part of a merge 'bc'");
  EXPECT_HAS(error_of(vocabulary_for({}), {{"a", "b"}}), "the merge 'ab'");
}

TEST(Bpe, MergesLongPiecesInLinearithmicTime) {
  Merges merges;
  std::string part = "x";
  for (int i = 0; i < 10; ++i, part += part) merges.emplace_back(part, part);
  const Bpe bpe(vocabulary_for(merges), merges, {});
  const size_t copies = 400;
  EXPECT_EQ(encode(bpe, std::string(1024 * copies, 'x')), std::vector<int32_t>(copies, 256 + 9));
}

}  // namespace
}  // namespace stamp
