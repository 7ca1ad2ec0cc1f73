#include "stamp/io/json.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "stamp/core/error.h"
#include "stamp/io/atomic_file.h"
#include "stamp/io/file_descriptor.h"
#include "stamp/io/json_builder.h"

namespace stamp {
namespace {

struct BareWord {
  std::string_view name, replacement;
};
// The blanks around the replacements keep "1.NaN" and the like what they are: syntax errors.
constexpr BareWord kBareWords[] = {
    {"-Infinity", " -1e308 "}, {"Infinity", " 1e308 "}, {"NaN", " null "}};

/// End of the string literal that starts at text[begin] == '"' (or the end of the text).
size_t skip_string(std::string_view text, size_t begin) {
  size_t i = begin + 1;
  while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

std::string replace_bare_words(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto* word = std::find_if(std::begin(kBareWords), std::end(kBareWords),
                                    [&](auto& w) { return text.substr(i).starts_with(w.name); });
    const size_t end = text[i] == '"'                 ? skip_string(text, i)
                       : word != std::end(kBareWords) ? i + word->name.size()
                                                      : i + 1;
    result += word != std::end(kBareWords) ? word->replacement : text.substr(i, end - i);
    i = end;
  }
  return result;
}

bool has_bare_words(std::string_view text) {
  return text.find("Infinity") != text.npos || text.find("NaN") != text.npos;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  JsonBuilder builder(where);
  if (has_bare_words(text))
    Json::sax_parse(replace_bare_words(text), &builder);
  else
    Json::sax_parse(text, &builder);
  return builder.take();
}

Json read_json(const std::filesystem::path& path, int64_t max_bytes) {
  return parse_json(read_text(path, max_bytes), path.string());
}

std::string read_text(const std::filesystem::path& path, int64_t max_bytes) {
  const OpenedFile file = open_regular(path);
  if (file.bytes > max_bytes)
    throw_runtime("{}: expected at most {} bytes, got {}", path.string(), max_bytes, file.bytes);
  std::string text(static_cast<size_t>(file.bytes), '\0');
  size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t count = ::read(file.descriptor.get(), text.data() + filled, text.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_runtime("{}: cannot read, {}", path.string(), errno_text());
    if (count == 0) break;  // the file shrank meanwhile
    filled += static_cast<size_t>(count);
  }
  text.resize(filled);
  return text;
}

void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace stamp
