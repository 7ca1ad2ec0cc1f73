#pragma once
// Tokens that are cut out of the text before it is split and merged.
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stamp {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  bool normalized = false;   // sought in normalized text, else in the raw text
  bool single_word = false;  // only where no word character is beside it
  bool lstrip = false;       // takes the blanks before it
  bool rstrip = false;       // takes the blanks after it
};

/// A stretch of text: an added token when id >= 0.
struct Section {
  std::string_view text;
  int32_t id;
};

class AddedTokenMatcher {
 public:
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);
  /// Cuts valid UTF-8 text at the added tokens: leftmost, then longest. Sections are not empty and
  /// in order; blanks taken by lstrip and rstrip belong to the token's section.
  std::vector<Section> cut(std::string_view text) const;

 private:
  const AddedToken* longest_at(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;  // sorted by content
  std::bitset<256> first_bytes_;
};

}  // namespace stamp
