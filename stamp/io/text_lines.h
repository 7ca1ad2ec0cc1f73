#pragma once
// Text files with a thing per line.
#include <filesystem>
#include <string>
#include <vector>

namespace stamp {

/// The file's lines without their ends ("\n" or "\r\n"), empty ones left out. Throws as
/// read_text().
std::vector<std::string> read_lines(const std::filesystem::path& path,
                                    int64_t max_bytes = int64_t{1} << 26);

}  // namespace stamp
