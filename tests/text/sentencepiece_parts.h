#pragma once
// Small SentencePiece material made by hand.
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

namespace stamp {

inline std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
inline std::string number_field(uint32_t id, uint64_t value) {
  return varint(id << 3) + varint(value);
}
inline std::string bytes_field(uint32_t id, const std::string& bytes) {
  return varint(id << 3 | 2) + varint(bytes.size()) + bytes;
}
inline std::string piece_field(const std::string& text, float score, uint64_t type = 1) {
  const auto bits = std::bit_cast<uint32_t>(score);
  std::string fixed = varint(2 << 3 | 5);
  for (int i = 0; i < 4; ++i) fixed += static_cast<char>(bits >> (8 * i));
  return bytes_field(1, bytes_field(1, text) + fixed + number_field(3, type));
}

/// A character map with A -> a, AB -> xy and U+00E9 -> nothing.
inline std::string small_charsmap() {
  std::vector<uint32_t> units(4096, 0xff);  // label that no byte reaches from these places
  const auto unit = [](uint32_t offset, char label, bool leaf) {
    return offset << 10 | uint32_t{leaf} << 8 | static_cast<uint8_t>(label);
  };
  units[0] = 256 << 10;
  units[256 ^ 'A'] = unit(512, 'A', true);
  units[256 ^ 'A' ^ 512] = 0x80000000u;  // "a"
  units[256 ^ 'A' ^ 512 ^ 'B'] = unit(1024, 'B', true);
  units[256 ^ 'A' ^ 512 ^ 'B' ^ 1024] = 0x80000000u | 2;  // "xy"
  units[256 ^ 0xC3] = unit(2048, '\xC3', false);
  units[256 ^ 0xC3 ^ 2048 ^ 0xA9] = unit(512, '\xA9', true);
  units[256 ^ 0xC3 ^ 2048 ^ 0xA9 ^ 512] = 0x80000000u | 5;  // ""
  const auto bytes = static_cast<uint32_t>(4 * units.size());
  std::string blob(reinterpret_cast<const char*>(&bytes), 4);
  blob.append(reinterpret_cast<const char*>(units.data()), bytes);
  return blob + std::string("a\0xy\0\0", 6);
}

}  // namespace stamp
