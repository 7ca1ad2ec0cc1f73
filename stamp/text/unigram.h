#pragma once
// Unigram tokenization: the segmentation with the largest sum of scores (Kudo 2018).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stamp {

class Unigram {
 public:
  struct Piece {
    std::string text;
    double score = 0;
    int32_t id = 0;
  };
  /// Pieces without text are left out. Characters that no piece covers become `unknown`, neighbours
  /// as one; each costs ten more than the lowest score.
  Unigram(std::vector<Piece> pieces, int32_t unknown);

  /// Appends the ids of valid UTF-8 text. Of equal paths the one found first wins, as in
  /// SentencePiece.
  void encode(std::string_view text, std::vector<int32_t>& ids) const;

 private:
  std::vector<Piece> pieces_;  // sorted by text
  int32_t unknown_ = 0;
  double unknown_score_ = 0;
};

}  // namespace stamp
