#pragma once
// UTF-8, normalization form C and the character classes that tokenizers need.
#include <cstddef>
#include <string>
#include <string_view>

namespace stamp {

struct CodePoint {
  char32_t value;  // U+FFFD when not valid
  size_t bytes;    // length in the text; of the maximal ill-formed subpart when not valid
  bool valid;
};

/// Decodes the code point at text[at]; at < text.size().
CodePoint decode_utf8(std::string_view text, size_t at);
/// Appends the UTF-8 form of a Unicode scalar value.
void append_utf8(char32_t value, std::string& out);
/// A copy in which every maximal ill-formed subpart (Unicode 3.9, table 3-8) is U+FFFD, as Python's
/// errors="replace" has it.
std::string replace_invalid_utf8(std::string_view text);

/// Normalization form C of valid UTF-8, in O(n log n) for any text.
std::string to_nfc(std::string_view text);

/// Unicode property White_Space.
bool is_white_space(char32_t c);
/// What \w matches: Alphabetic, Mark, Decimal_Number, Connector_Punctuation, Join_Control.
bool is_word(char32_t c);

}  // namespace stamp
