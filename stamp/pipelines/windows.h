#pragma once
// Cutting a text into evaluation windows (METHODS 12.1).
#include <cstdint>
#include <filesystem>
#include <vector>

#include "stamp/text/tokenizer.h"

namespace stamp {

struct WindowOptions {
  int64_t context = 2048;
  int64_t max_windows = 0;  // 0: as many as the text has
  int64_t first_token = 0;  // where in the text the first window starts
  bool bos_every_window =
      true;  // false: only the first window starts with BOS (published protocol)
};

/// Ids of a text file, without BOS. Throws std::runtime_error when the file is missing or empty.
std::vector<int32_t> tokenize_file(const Tokenizer& tokenizer, const std::filesystem::path& text);

/// Disjoint windows of exactly `context` ids, BOS (when the tokenizer has one) included; the tail
/// is dropped. Throws std::invalid_argument when the text is too short for one window or context
/// < 2.
std::vector<std::vector<int32_t>> make_windows(const std::vector<int32_t>& ids, int32_t bos_id,
                                               const WindowOptions& options);

}  // namespace stamp
