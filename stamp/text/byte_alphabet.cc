#include "stamp/text/byte_alphabet.h"

#include <array>

#include "stamp/text/unicode.h"

namespace stamp {
namespace {

constexpr char32_t kFirstSubstitute = 0x100;

constexpr bool is_printable(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, 256> characters{};
  std::array<int, 512> bytes{};  // -1: not in the alphabet
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  alphabet.bytes.fill(-1);
  char32_t next = kFirstSubstitute;
  for (int byte = 0; byte < 256; ++byte) {
    const char32_t c = is_printable(byte) ? static_cast<char32_t>(byte) : next++;
    alphabet.characters[static_cast<size_t>(byte)] = c;
    alphabet.bytes[c] = byte;
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

char32_t byte_character(uint8_t byte) { return kAlphabet.characters[byte]; }

std::string spell_bytes(std::string_view bytes) {
  std::string result;
  for (const char byte : bytes) append_utf8(byte_character(static_cast<uint8_t>(byte)), result);
  return result;
}

std::string spelled_bytes(std::string_view token) {
  std::string result;
  for (size_t at = 0; at < token.size();) {
    const CodePoint point = decode_utf8(token, at);
    if (!point.valid || point.value >= kAlphabet.bytes.size() || kAlphabet.bytes[point.value] < 0)
      return std::string(token);
    result += static_cast<char>(kAlphabet.bytes[point.value]);
    at += point.bytes;
  }
  return result;
}

}  // namespace stamp
