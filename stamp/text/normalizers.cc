#include "stamp/text/normalizers.h"

#include <utf8proc.h>

#include "stamp/text/unicode.h"

namespace stamp {

void append_lower_case(char32_t c, std::string& out) {
  constexpr char32_t kDottedI = 0x130, kDotAbove = 0x307;
  if (c == kDottedI) {
    out += 'i';
    return append_utf8(kDotAbove, out);
  }
  append_utf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))), out);
}

std::string lower_characters(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    append_lower_case(point.value, result);
    at += point.bytes;
  }
  return result;
}

std::string collapse_white_space(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  bool in_run = false;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    const bool space = is_white_space(point.value);
    if (!space)
      result += text.substr(at, point.bytes);
    else if (!in_run)
      result += ' ';
    in_run = space;
    at += point.bytes;
  }
  return result;
}

}  // namespace stamp
