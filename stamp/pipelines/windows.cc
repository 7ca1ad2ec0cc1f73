#include "stamp/pipelines/windows.h"

#include "stamp/core/error.h"
#include "stamp/io/json.h"

namespace stamp {

std::vector<int32_t> tokenize_file(const Tokenizer& tokenizer, const std::filesystem::path& text) {
  std::vector<int32_t> ids = tokenizer.encode(read_text(text), false);
  if (ids.empty()) throw_runtime("{}: the text is empty", text.string());
  return ids;
}

std::vector<std::vector<int32_t>> make_windows(const std::vector<int32_t>& ids, int32_t bos_id,
                                               const WindowOptions& options) {
  if (options.context < 2)
    throw_argument("windows: expected a context of at least 2 tokens, got {}", options.context);
  std::vector<std::vector<int32_t>> windows;
  size_t next = static_cast<size_t>(options.first_token);
  while (options.max_windows == 0 || static_cast<int64_t>(windows.size()) < options.max_windows) {
    const bool bos = bos_id >= 0 && (options.bos_every_window || windows.empty());
    const size_t count = static_cast<size_t>(options.context) - (bos ? 1 : 0);
    if (next + count > ids.size()) break;
    std::vector<int32_t>& window = windows.emplace_back();
    window.reserve(static_cast<size_t>(options.context));
    if (bos) window.push_back(bos_id);
    window.insert(window.end(), ids.begin() + static_cast<int64_t>(next),
                  ids.begin() + static_cast<int64_t>(next + count));
    next += count;
  }
  if (windows.empty())
    throw_argument(
        "windows: the text has {} tokens, too few for one window of {}; use a shorter "
        "--context or a longer text",
        ids.size(), options.context);
  return windows;
}

}  // namespace stamp
