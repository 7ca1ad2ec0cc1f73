#pragma once
// Byte-pair encoding: merging neighbours by rank (Sennrich et al. 2016).
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stamp {

/// Token text, as spelled by the byte alphabet, to id.
using Vocabulary = std::unordered_map<std::string, int32_t>;

class Bpe {
 public:
  /// `merges` in order of rank. Throws std::runtime_error when a byte, a part of a merge or its
  /// result is not in the vocabulary. `ignore_merges`: a piece that is a token is taken whole.
  Bpe(Vocabulary vocabulary, const std::vector<std::pair<std::string, std::string>>& merges,
      bool ignore_merges);

  /// Appends the ids of one piece of raw bytes: repeatedly merges the leftmost of the neighbours
  /// with the lowest rank. O(n log n).
  void encode(std::string_view piece, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  struct Merge {
    int32_t rank, id;
  };
  struct PairHash {
    size_t operator()(uint64_t pair) const { return (pair ^ pair >> 29) * 0x9e3779b97f4a7c15ull; }
  };
  int32_t id_of(const std::string& token, const char* role) const;
  const Merge* find_merge(int32_t left, int32_t right) const;
  void merge_symbols(std::string_view piece, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  std::array<int32_t, 256> byte_ids_;
  std::unordered_map<uint64_t, Merge, PairHash> merges_;
  bool ignore_merges_;
};

}  // namespace stamp
