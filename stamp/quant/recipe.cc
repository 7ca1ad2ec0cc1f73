#include "stamp/quant/recipe.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/quant/presets.h"
#include "stamp/quant/site_probe.h"

namespace stamp {
namespace {

constexpr int64_t kLargestFile = 1 << 20;

bool quantized(const TokenSpec& spec) { return spec.bits < 16; }
bool needs_statistics(const TokenSpec& spec) {
  return quantized(spec) && (spec.plan.kind == "waterfill" || needs_probe(spec));
}

/// True when `holds` for the recipe or for any of the layers that it treats differently.
template <class Predicate>
bool any_layer(const Recipe& recipe, Predicate&& holds) {
  return holds(recipe) ||
         std::any_of(recipe.layers.begin(), recipe.layers.end(), [&](const LayerSpec& spec) {
           return holds(recipe_for_layer(recipe, parse_layer_range(spec.range, "layers")[0].first));
         });
}

}  // namespace

bool Recipe::needs_smoothing() const {
  return feature == "smoothquant" || feature == "vidit-q" || feature == "svdquant";
}

bool Recipe::needs_learning() const { return feature == "flatquant"; }

bool Recipe::needs_calibration() const {
  return needs_smoothing() || needs_learning() || needs_ranges();
}

bool Recipe::needs_ranges() const {
  return any_layer(*this, [](const Recipe& recipe) {
    return needs_statistics(recipe.activations) || needs_statistics(recipe.k) ||
           needs_statistics(recipe.v) || (quantized(recipe.activations) && recipe.center != "none");
  });
}

bool Recipe::needs_weight_calibration() const {
  return weights.bits < 16 && (weights.quantizer != "rtn" || weights.rank > 0);
}

bool Recipe::is_plain() const {
  return !changes_basis() && weights.bits >= 16 && lm_head.bits >= 16 && embedding_bits >= 16 &&
         attention_bits >= 16 && !any_layer(*this, [](const Recipe& recipe) {
           return quantized(recipe.activations) || quantized(recipe.k) || quantized(recipe.v);
         });
}

bool excludes(const Recipe& recipe, const std::vector<std::string>& linears) {
  return std::any_of(linears.begin(), linears.end(), [&](const std::string& linear) {
    return std::any_of(recipe.exclude.begin(), recipe.exclude.end(), [&](const std::string& part) {
      return linear.find(part) != std::string::npos;
    });
  });
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
