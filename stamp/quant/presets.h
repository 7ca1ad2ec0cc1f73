#pragma once
// The presets of recipes/*.json, compiled into the program (cmake/presets.cmake writes the table).
#include <span>
#include <string_view>

namespace stamp {

struct Preset {
  std::string_view name;  // of the file, without .json
  std::string_view json;
};
/// Sorted by name.
std::span<const Preset> presets();

}  // namespace stamp
