#include "stamp/text/unigram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>

#include "stamp/core/rng.h"

namespace stamp {
namespace {

using Ids = std::vector<int32_t>;

Ids encode(const Unigram& unigram, std::string_view text) {
  Ids ids;
  unigram.encode(text, ids);
  return ids;
}

TEST(Unigram, TakesTheBestPath) {
  const Unigram unigram({{"a", -1, 1}, {"b", -1, 2}, {"ab", -1.5, 3}, {"abc", -9, 4}, {"c", -2, 5}},
                        0);
  EXPECT_EQ(encode(unigram, "abc"), (Ids{3, 5}));
  EXPECT_EQ(encode(unigram, "aab"), (Ids{1, 3}));
  EXPECT_EQ(encode(unigram, ""), Ids{});
}

TEST(Unigram, UnknownNeighboursAreOne) {
  const Unigram unigram({{"a", -1, 1}, {"\u00e9x", -1, 2}}, 7);
  EXPECT_EQ(encode(unigram, "qqa\u00e9\u00e9xzz"), (Ids{7, 1, 7, 2, 7}));
}

/// The best score of any segmentation, by trying all.
double best_score(const std::map<std::string, double>& pieces, double unknown,
                  std::string_view text) {
  if (text.empty()) return 0;
  double best = -std::numeric_limits<double>::infinity();
  for (size_t cut = 1; cut <= text.size(); ++cut) {
    const auto found = pieces.find(std::string(text.substr(0, cut)));
    if (found != pieces.end())
      best = std::max(best, found->second + best_score(pieces, unknown, text.substr(cut)));
    else if (cut == 1)
      best = std::max(best, unknown + best_score(pieces, unknown, text.substr(1)));
  }
  return best;
}

TEST(Unigram, AgreesWithTryingEverything) {
  Rng rng(5);
  for (int round = 0; round < 200; ++round) {
    std::map<std::string, double> scores;
    std::vector<Unigram::Piece> pieces;
    double lowest = 0;
    for (int32_t id = 1; id < 12; ++id) {
      std::string text;
      for (uint64_t i = 0; i <= rng.below(3); ++i) text += static_cast<char>('a' + rng.below(3));
      if (!scores.emplace(text, -rng.uniform() * 5).second) continue;
      pieces.push_back({text, scores[text], id});
      lowest = std::min(lowest, scores[text]);
    }
    std::string text;
    for (int i = 0; i < 9; ++i) text += static_cast<char>('a' + rng.below(4));
    double got = 0;
    size_t length = 0;
    const Ids ids = encode(Unigram(pieces, 0), text);
    for (size_t i = 0; i < ids.size(); ++i) {
      for (const auto& piece : pieces)
        if (piece.id == ids[i]) got += piece.score, length += piece.text.size();
    }
    // Every byte that no chosen piece covers was unknown.
    got += (lowest - 10) * static_cast<double>(text.size() - length);
    EXPECT_NEAR(got, best_score(scores, lowest - 10, text), 1e-9) << text;
  }
}

}  // namespace
}  // namespace stamp
