#pragma once
// JSON files as nlohmann::json, with the habits of Hugging Face's config files tolerated.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace stamp {

using Json = nlohmann::json;

/// Parses JSON text; bare Infinity, -Infinity and NaN outside strings are accepted (as +-1e308 and
/// null). `where` names the source in errors. Throws std::runtime_error: syntax, invalid UTF-8,
/// nesting deeper than 64, more than 2^23 values, the same key twice in one object.
Json parse_json(std::string_view text, const std::string& where);
/// Reads and parses a file of at most `max_bytes`. Throws std::runtime_error naming the file.
Json read_json(const std::filesystem::path& path, int64_t max_bytes = int64_t{1} << 28);
/// Whole file as text; std::runtime_error when missing, not regular or larger than `max_bytes`.
std::string read_text(const std::filesystem::path& path, int64_t max_bytes = int64_t{1} << 32);
/// Writes a file so that it is never seen half-written: temporary neighbour, flush, rename. On
/// failure the temporary file is removed; std::runtime_error naming path and reason.
void write_file_atomically(const std::filesystem::path& path, std::string_view content);

}  // namespace stamp
