#pragma once
// Keys that clients show.
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace stamp {

/// The lines of `file`, or without a file the words of the environment's STAMP_API_KEYS, separated
/// by commas; blanks around them do not count. None at all: no key is asked for. Throws
/// std::runtime_error for a file that cannot be read or holds no key.
std::vector<std::string> read_api_keys(const std::filesystem::path& file);

/// True for "Bearer KEY" with one of `keys`. Takes as long for wrong keys as for right ones of
/// their length.
bool is_authorized(std::string_view authorization, const std::vector<std::string>& keys);

}  // namespace stamp
