#include "stamp/server/api_keys.h"

#include <cctype>
#include <cstdlib>

#include "stamp/core/error.h"
#include "stamp/io/json.h"

namespace stamp {
namespace {

constexpr int64_t kMostBytes = 1 << 20;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  const auto is_blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    std::string_view part = text.substr(begin, end - begin);
    while (!part.empty() && is_blank(part.front())) part.remove_prefix(1);
    while (!part.empty() && is_blank(part.back())) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
    begin = end + 1;
  }
  return parts;
}

bool same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

}  // namespace

std::vector<std::string> read_api_keys(const std::filesystem::path& file) {
  if (file.empty()) {
    const char* const words = std::getenv("STAMP_API_KEYS");
    return words ? split(words, ',') : std::vector<std::string>();
  }
  std::vector<std::string> keys = split(read_text(file, kMostBytes), '\n');
  if (keys.empty()) throw_runtime("{}: expected a key per line, got none", file.string());
  return keys;
}

bool is_authorized(std::string_view authorization, const std::vector<std::string>& keys) {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) return false;
  authorization.remove_prefix(kScheme.size());
  bool any = false;
  for (const std::string& key : keys) any |= same(authorization, key);
  return any;
}

}  // namespace stamp
