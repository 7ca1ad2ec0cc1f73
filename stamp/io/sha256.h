#pragma once
// SHA-256 (OpenSSL), as lower-case hexadecimal text.
#include <filesystem>
#include <string>
#include <string_view>

namespace stamp {

std::string sha256(std::string_view bytes);
/// Of a whole file, read in pieces; throws std::runtime_error naming the file.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace stamp
