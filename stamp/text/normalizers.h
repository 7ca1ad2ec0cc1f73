#pragma once
// Steps of tokenizers' normalization that look at single characters of valid UTF-8.
#include <string>
#include <string_view>

namespace stamp {

/// Appends the lower case of one character by Unicode's mappings, whatever is beside it; U+0130 is
/// the only one that becomes two, "i" and U+0307.
void append_lower_case(char32_t c, std::string& out);
/// The same of every character, so that a capital sigma is never a final one (lower_case() of
/// prompt_text.h looks at neighbours).
std::string lower_characters(std::string_view text);
/// Every run of white space becomes one U+0020.
std::string collapse_white_space(std::string_view text);

}  // namespace stamp
