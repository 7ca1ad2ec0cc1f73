#include "stamp/models/stored_recipe.h"

#include "stamp/core/error.h"
#include "stamp/io/config_reader.h"
#include "stamp/io/model_files.h"

namespace stamp {
namespace {

constexpr int64_t kLargestRecipe = 1 << 20;

Json recipe_inside(const std::filesystem::path& config) {
  const Json json = read_json(config);
  const ConfigReader reader(json, config.string());
  const auto quantization = reader.object("quantization_config");
  if (!quantization) reader.reject("quantization_config", "expected an object");
  const Json* recipe = quantization->find("recipe");
  if (recipe == nullptr) quantization->reject("recipe", "expected a recipe");
  return *recipe;
}

Recipe parsed(const Json& json, const std::filesystem::path& file) {
  try {
    return recipe_from_json(json);
  } catch (const std::invalid_argument& error) {
    throw_runtime("{}: {}", file.string(), error.what());
  }
}

}  // namespace

std::optional<Recipe> read_stored_recipe(const std::filesystem::path& directory,
                                         const LlmConfig& config) {
  if (config.quant_method.empty() || has_packed_linears(directory, config.quant_method))
    return std::nullopt;
  const bool inside = config.quant_method == "stamp";
  const auto file = directory / (inside ? "config.json" : "recipe.json");
  Recipe recipe = parsed(inside ? recipe_inside(file) : read_json(file, kLargestRecipe), file);
  for (const WeightSpec* spec : {&recipe.weights, &recipe.lm_head})
    if (spec->bits < 16 && !spec->symmetric)
      throw_runtime("{}: asymmetric weights have no stored form", file.string());
  return recipe;
}

void check_same_weights(const Recipe& recipe, const Recipe& stored, const std::string& where) {
  const Json got = to_json(recipe), want = to_json(stored);
  const auto refuse = [&](const char* key) {
    throw_argument(
        "{}: its weights are stored for recipe '{}': {} is {}, got {}; a recipe for this directory "
        "may differ in how activations, k and v are quantized only",
        where, stored.name, key, want[key].dump(), got[key].dump());
  };
  for (const char* key :
       {"weights", "feature", "smoothing", "seed", "lm_head", "embedding_bits", "exclude"})
    if (got[key] != want[key]) refuse(key);
  if (recipe.center != stored.center && recipe.center != "none") refuse("center");
}

}  // namespace stamp
