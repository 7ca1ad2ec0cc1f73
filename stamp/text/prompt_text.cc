#include "stamp/text/prompt_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "stamp/text/normalizers.h"
#include "stamp/text/unicode.h"

namespace stamp {
namespace {

constexpr char32_t kCapitalSigma = 0x3A3, kSmallSigma = 0x3C3, kFinalSigma = 0x3C2;

std::vector<char32_t> code_points(std::string_view text) {
  std::vector<char32_t> points;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    points.push_back(point.value);
    at += point.bytes;
  }
  return points;
}

bool is_cased(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
         category == UTF8PROC_CATEGORY_LT;
}

bool is_case_ignorable(char32_t c) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME ||
         category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_LM ||
         category == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' || c == 0xB7 ||
         c == 0x2019;
}

/// True when the next character in direction `step` that is not ignorable is cased.
bool meets_cased(const std::vector<char32_t>& points, size_t at, int step) {
  for (auto i = static_cast<std::ptrdiff_t>(at) + step;
       i >= 0 && i < static_cast<std::ptrdiff_t>(points.size()); i += step) {
    const char32_t c = points[static_cast<size_t>(i)];
    if (!is_case_ignorable(c)) return is_cased(c);
  }
  return false;
}

bool is_python_space(char32_t c) { return is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

}  // namespace

std::string lower_case(std::string_view text) {
  const std::vector<char32_t> points = code_points(text);
  std::string result;
  for (size_t i = 0; i < points.size(); ++i) {
    if (points[i] == kCapitalSigma) {
      const bool final = meets_cased(points, i, -1) && !meets_cased(points, i, 1);
      append_utf8(final ? kFinalSigma : kSmallSigma, result);
    } else {
      append_lower_case(points[i], result);
    }
  }
  return result;
}

std::string strip(std::string_view text) {
  size_t begin = text.size(), end = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    if (!is_python_space(point.value)) {
      begin = std::min(begin, at);
      end = at + point.bytes;
    }
    at += point.bytes;
  }
  return begin < end ? std::string(text.substr(begin, end - begin)) : "";
}

}  // namespace stamp
