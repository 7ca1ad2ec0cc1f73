#pragma once
// How tokenizers of SentencePiece's kind turn blanks into the visible mark U+2581 before they look
// for pieces, and back.
#include <string>
#include <string_view>
#include <vector>

namespace stamp {

inline constexpr std::string_view kSpaceMark = "\u2581";

enum class SpaceRule {
  kKeep,      // none of this: byte-level tokenizers
  kReplace,   // every U+0020 becomes a mark (Gemma)
  kWords,     // the text is cut at white space, a mark goes before each word (T5, `tokenizers`)
  kCollapse,  // runs of U+0020 become one mark, none at the end, one before the text
              // (SentencePiece)
};

/// Appends the pieces of valid UTF-8 text in which tokens are sought. kWords cuts before a mark
/// inside a word, too.
void apply_space_rule(SpaceRule rule, std::string_view text, std::vector<std::string>& pieces);
/// Copy with every `from` replaced by `to`.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

}  // namespace stamp
