#include "stamp/text/added_tokens.h"

#include <algorithm>

#include "stamp/text/unicode.h"

namespace stamp {
namespace {

bool is_continuation(char byte) { return (static_cast<uint8_t>(byte) & 0xC0) == 0x80; }

/// Start of the code point that ends at text[end - 1]; end > 0.
size_t previous_start(std::string_view text, size_t end) {
  size_t start = end - 1;
  while (start > 0 && is_continuation(text[start])) --start;
  return start;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  const bool word_before =
      begin > 0 && is_word(decode_utf8(text, previous_start(text, begin)).value);
  const bool word_after = end < text.size() && is_word(decode_utf8(text, end).value);
  return !word_before && !word_after;
}

size_t strip_left(std::string_view text, size_t begin, size_t lowest) {
  while (begin > lowest) {
    const size_t start = previous_start(text, begin);
    if (!is_white_space(decode_utf8(text, start).value)) break;
    begin = start;
  }
  return begin;
}

size_t strip_right(std::string_view text, size_t end) {
  while (end < text.size()) {
    const CodePoint point = decode_utf8(text, end);
    if (!is_white_space(point.value)) break;
    end += point.bytes;
  }
  return end;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::erase_if(tokens_, [](const AddedToken& token) { return token.content.empty(); });
  std::sort(tokens_.begin(), tokens_.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  const auto same = [](const AddedToken& a, const AddedToken& b) { return a.content == b.content; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());
  for (const AddedToken& token : tokens_)
    first_bytes_.set(static_cast<uint8_t>(token.content.front()));
}

const AddedToken* AddedTokenMatcher::longest_at(std::string_view text, size_t at) const {
  if (!first_bytes_[static_cast<uint8_t>(text[at])]) return nullptr;
  // Narrow the sorted tokens to those that agree with the text in one more byte each round.
  auto first = tokens_.begin(), last = tokens_.end();
  const AddedToken* longest = nullptr;
  for (size_t depth = 0; at + depth < text.size() && first != last; ++depth) {
    const auto wanted = static_cast<uint8_t>(text[at + depth]);
    const auto byte = [&](const AddedToken& token) {
      return static_cast<uint8_t>(token.content[depth]);
    };
    // A token that ends here sorts first and cannot agree in a further byte.
    if (first->content.size() == depth) ++first;
    first = std::partition_point(first, last, [&](auto& token) { return byte(token) < wanted; });
    last = std::partition_point(first, last, [&](auto& token) { return byte(token) == wanted; });
    if (first != last && first->content.size() == depth + 1) longest = &*first;
  }
  return longest;
}

std::vector<Section> AddedTokenMatcher::cut(std::string_view text) const {
  std::vector<Section> sections;
  size_t taken = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = longest_at(text, at);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + token->content.size();
    at = end;
    if (token->single_word && !stands_alone(text, begin, end)) continue;
    if (token->lstrip) begin = strip_left(text, begin, taken);
    if (token->rstrip) at = end = strip_right(text, end);
    if (taken < begin) sections.push_back({text.substr(taken, begin - taken), -1});
    sections.push_back({text.substr(begin, end - begin), token->id});
    taken = end;
  }
  if (taken < text.size()) sections.push_back({text.substr(taken), -1});
  return sections;
}

}  // namespace stamp
