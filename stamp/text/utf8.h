#pragma once
// Streaming text: tokens may end in the middle of a character.
#include <cstddef>
#include <string_view>

namespace stamp {

/// Length of the longest prefix of `bytes` that does not end inside a UTF-8 character. Bytes that
/// can never become valid count as complete.
size_t complete_utf8_prefix(std::string_view bytes);

}  // namespace stamp
