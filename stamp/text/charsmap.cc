#include "stamp/text/charsmap.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>

#include "stamp/core/error.h"
#include "stamp/text/unicode.h"

namespace stamp {
namespace {

constexpr size_t kGraphemeLimit = 6;  // bytes; longer graphemes are taken apart
// Bytes, far beyond those of nmt_nfkc (whose longest replacement is that of U+FDFA, 18 characters).
// Without these limits a map could make texts a million times longer, or take quadratic time.
constexpr size_t kLongestReplacement = 1024, kLongestKey = 256;

/// The longest stretch of `text` without NUL, in bytes.
size_t longest_run(std::string_view text) {
  size_t longest = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\0', begin), text.size());
    longest = std::max(longest, end - begin);
    begin = end + 1;
  }
  return longest;
}

// A unit of the double array (darts-clone).
bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_of(uint32_t unit) { return unit & 0x7fffffffu; }
uint32_t label_of(uint32_t unit) { return unit & 0x800000ffu; }
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 0x200u) >> 6); }

/// End of the extended grapheme cluster that begins at text[at].
size_t grapheme_end(std::string_view text, size_t at) {
  CodePoint point = decode_utf8(text, at);
  utf8proc_int32_t state = 0;
  while (true) {
    at += point.bytes;
    if (at >= text.size()) return at;
    const CodePoint next = decode_utf8(text, at);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(point.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state))
      return at;
    point = next;
  }
}

}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& where) {
  uint32_t bytes = 0;
  if (blob.size() < sizeof bytes)
    throw_runtime("{}: a character map of {} bytes is too short", where, blob.size());
  std::memcpy(&bytes, blob.data(), sizeof bytes);
  if (bytes % 4 != 0 || bytes == 0 || bytes > blob.size() - sizeof bytes)
    throw_runtime("{}: the character map's trie has {} of {} bytes", where, bytes, blob.size());
  units_.resize(bytes / 4);
  std::memcpy(units_.data(), blob.data() + sizeof bytes, bytes);
  replacements_ = blob.substr(sizeof bytes + bytes);
  if (!replacements_.empty() && replacements_.back() != '\0')
    throw_runtime("{}: the character map's last replacement does not end", where);
  if (const size_t longest = longest_run(replacements_); longest > kLongestReplacement)
    throw_runtime("{}: the character map has a replacement of {} bytes, expected at most {}", where,
                  longest, kLongestReplacement);
}

/// Calls body for every string of the trie that `text` begins with, shortest first.
template <class Body>
void Charsmap::for_each_match(std::string_view text, Body&& body) const {
  size_t node = offset_of(units_[0]);
  for (size_t i = 0; i < std::min(text.size(), kLongestKey); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || label_of(units_[node]) != byte) return;
    const uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_leaf(unit)) continue;
    if (node >= units_.size() || value_of(units_[node]) >= replacements_.size()) return;
    body(Match{i + 1, replacements_.data() + value_of(units_[node])});
  }
}

std::optional<Charsmap::Match> Charsmap::match(std::string_view text, bool longest) const {
  std::optional<Match> result;
  for_each_match(text, [&](const Match& found) {
    if (longest || !result) result = found;
  });
  return result;
}

std::string Charsmap::normalize(std::string_view text) const {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const auto found = match(text.substr(at), true);
    const size_t bytes = found ? found->bytes : decode_utf8(text, at).bytes;
    result += found ? found->replacement : text.substr(at, bytes);
    at += bytes;
  }
  return result;
}

void Charsmap::append_grapheme(std::string_view grapheme, std::string& out) const {
  if (grapheme.size() < kGraphemeLimit) {
    if (const auto found = match(grapheme, false)) {
      out += found->replacement;
      return;
    }
  }
  for (size_t at = 0; at < grapheme.size();) {
    const std::string_view character = grapheme.substr(at, decode_utf8(grapheme, at).bytes);
    const auto found = match(character, false);
    out += found ? found->replacement : character;
    at += character.size();
  }
}

std::string Charsmap::normalize_graphemes(std::string_view text) const {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const size_t end = grapheme_end(text, at);
    append_grapheme(text.substr(at, end - at), result);
    at = end;
  }
  return result;
}

std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == kDigits.npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 0xff);
  }
  return bytes;
}

}  // namespace stamp
