#pragma once
// Inputs of readers that take files.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string_view>

#include "stamp/io/temporary_directory.h"

namespace stamp::fuzz {

/// A folder with the files `names`, made of one input: each file ends at the next zero byte, the
/// last one at the end. The folder is the same in every call and goes with the program.
inline const std::filesystem::path& folder_of(std::string_view input,
                                              std::initializer_list<const char*> names) {
  static const TemporaryDirectory folder;
  size_t left = names.size();
  for (const char* name : names) {
    const size_t end = --left == 0 ? input.size() : std::min(input.find('\0'), input.size());
    std::ofstream(folder.path() / name, std::ios::binary) << input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  return folder.path();
}

}  // namespace stamp::fuzz
