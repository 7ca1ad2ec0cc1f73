#pragma once
// SentencePiece's precompiled character maps (nmt_nfkc and kin): a trie of byte strings and what
// replaces them.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stamp {

class Charsmap {
 public:
  Charsmap() = default;
  /// `blob` as in normalizer_spec.precompiled_charsmap: u32 bytes of the double array, the array,
  /// replacements that end in NUL, of at most 1024 bytes. Throws std::runtime_error naming `where`
  /// when it is not. Strings of the trie are sought up to a length of 256 bytes.
  Charsmap(std::string_view blob, const std::string& where);

  bool empty() const { return units_.empty(); }
  /// SentencePiece's own way: at every place the longest string of the trie, else one character.
  std::string normalize(std::string_view text) const;
  /// The way of Hugging Face's `tokenizers`: grapheme by grapheme when those have less than six
  /// bytes, else character by character; of several strings of the trie that match, the shortest
  /// decides.
  std::string normalize_graphemes(std::string_view text) const;

 private:
  struct Match {
    size_t bytes;  // of the text
    std::string_view replacement;
  };
  template <class Body>
  void for_each_match(std::string_view text, Body&& body) const;
  std::optional<Match> match(std::string_view text, bool longest) const;
  void append_grapheme(std::string_view grapheme, std::string& out) const;

  std::vector<uint32_t> units_;
  std::string replacements_;
};

/// Bytes of base64 text; nothing when it is no such text.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace stamp
