#pragma once
// Byte-pair encoding: merging neighbours by rank (Sennrich et al. 2016).
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stamp {

/// Token text, as spelled by the byte alphabet (of tokens made of characters: plain), to id.
using Vocabulary = std::unordered_map<std::string, int32_t>;

/// Token of one byte where bytes are a fallback: "<0x0A>".
std::string byte_token(uint8_t byte);

/// In order of rank.
using Merges = std::vector<std::pair<std::string, std::string>>;

struct BpeOptions {
  bool ignore_merges = false;  // a piece that is a token is taken whole
  bool characters = false;     // merging starts from characters, not from bytes; then:
  int32_t unknown = -1;        // id of a character that the vocabulary lacks, neighbours as one
  bool byte_fallback = false;  // such a character becomes the tokens of its bytes, "<0x0A>"
  std::string word_suffix;     // of bytes: a piece's last one is the token with this behind it
};

class Bpe {
 public:
  /// Throws std::runtime_error when a byte (of bytes, with and without suffix, and of
  /// byte_fallback), a part of a merge or its result is not in the vocabulary, or when there is
  /// nothing for unknown characters.
  Bpe(Vocabulary vocabulary, const Merges& merges, const BpeOptions& options);

  /// Appends the ids of one piece of text (of raw bytes unless `characters`): repeatedly merges the
  /// leftmost of the neighbours with the lowest rank. O(n log n).
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
  std::vector<int32_t> first_symbols(std::string_view piece) const;
  void add_character(std::string_view character, std::vector<int32_t>& symbols) const;
  void merge_symbols(std::span<const int32_t> symbols, std::vector<int32_t>& ids) const;

  Vocabulary vocabulary_;
  std::array<int32_t, 256> byte_ids_, last_byte_ids_;
  std::unordered_map<uint64_t, Merge, PairHash> merges_;
  BpeOptions options_;
};

}  // namespace stamp
