#pragma once
// Bytes as text (RFC 4648, padded).
#include <string>
#include <string_view>

namespace stamp {

std::string base64(std::string_view bytes);

}  // namespace stamp
