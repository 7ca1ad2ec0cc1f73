#pragma once
// The 256 printable characters by which byte-level BPE spells bytes in its vocabulary.
#include <cstdint>
#include <string>
#include <string_view>

namespace stamp {

/// The character of one byte: itself when it is printable Latin-1, else the next free one from
/// U+0100.
char32_t byte_character(uint8_t byte);
/// Spells raw bytes as a vocabulary does ("\x20a" -> "Ġa").
std::string spell_bytes(std::string_view bytes);
/// The inverse; a token with any character outside the alphabet stands for its own UTF-8 bytes.
std::string spelled_bytes(std::string_view token);

}  // namespace stamp
