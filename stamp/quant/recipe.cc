#include "stamp/quant/recipe.h"

#include <fmt/ranges.h>

#include "stamp/core/error.h"
#include "stamp/quant/presets.h"

namespace stamp {
namespace {

constexpr int64_t kLargestFile = 1 << 20;

bool quantized(const TokenSpec& spec) { return spec.bits < 16; }
bool needs_ranges(const TokenSpec& spec) {
  return quantized(spec) && spec.plan.kind == "waterfill";
}

}  // namespace

bool Recipe::needs_calibration() const {
  return needs_ranges(activations) || needs_ranges(k) || needs_ranges(v) ||
         (quantized(activations) && center != "none");
}

bool Recipe::is_plain() const {
  return weights.bits >= 16 && !quantized(activations) && !quantized(k) && !quantized(v);
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) names.emplace_back(preset.name);
  return names;
}

Recipe load_recipe(const std::string& name_or_path) {
  for (const Preset& preset : presets()) {
    if (preset.name == name_or_path) {
      return recipe_from_json(parse_json(preset.json, "preset " + name_or_path));
    }
  }
  std::error_code ignored;
  if (!std::filesystem::exists(name_or_path, ignored)) {
    throw_argument("recipe: '{}' is neither a file nor a preset; presets: {}", name_or_path,
                   fmt::join(preset_names(), ", "));
  }
  return recipe_from_json(read_json(name_or_path, kLargestFile));
}

}  // namespace stamp
