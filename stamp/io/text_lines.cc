#include "stamp/io/text_lines.h"

#include <algorithm>

#include "stamp/io/json.h"

namespace stamp {

std::vector<std::string> read_lines(const std::filesystem::path& path, int64_t max_bytes) {
  const std::string text = read_text(path, max_bytes);
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) lines.push_back(std::move(line));
    begin = end + 1;
  }
  return lines;
}

}  // namespace stamp
