#include "stamp/text/space_marks.h"

#include <algorithm>

#include "stamp/text/unicode.h"

namespace stamp {
namespace {

/// A word and its mark, cut before every further mark.
void add_word(std::string_view word, std::vector<std::string>& pieces) {
  std::string marked(word.starts_with(kSpaceMark) ? "" : kSpaceMark);
  marked += word;
  for (size_t begin = 0; begin < marked.size();) {
    const size_t end = std::min(marked.find(kSpaceMark, begin + 1), marked.size());
    pieces.push_back(marked.substr(begin, end - begin));
    begin = end;
  }
}

void add_words(std::string_view text, std::vector<std::string>& pieces) {
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    if (is_white_space(point.value)) {
      if (begin < at) add_word(text.substr(begin, at - begin), pieces);
      begin = at + point.bytes;
    }
    at += point.bytes;
  }
  if (begin < text.size()) add_word(text.substr(begin), pieces);
}

std::string collapsed(std::string_view text) {
  std::string result;
  bool pending = true;
  for (const char c : text) {
    if (c == ' ') {
      pending = true;
      continue;
    }
    if (pending) result += kSpaceMark;
    pending = false;
    result += c;
  }
  return result;
}

}  // namespace

void apply_space_rule(SpaceRule rule, std::string_view text, std::vector<std::string>& pieces) {
  if (rule == SpaceRule::kWords) return add_words(text, pieces);
  std::string piece = rule == SpaceRule::kKeep      ? std::string(text)
                      : rule == SpaceRule::kReplace ? replace_all(text, " ", kSpaceMark)
                                                    : collapsed(text);
  if (!piece.empty()) pieces.push_back(std::move(piece));
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  size_t begin = 0;
  for (size_t at; (at = text.find(from, begin)) != text.npos; begin = at + from.size()) {
    result += text.substr(begin, at - begin);
    result += to;
  }
  return result += text.substr(begin);
}

}  // namespace stamp
