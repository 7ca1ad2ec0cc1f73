// Recipes: what is accepted can be written and read again, and asked what it needs.
#include "stamp/io/json.h"
#include "stamp/quant/recipe.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace stamp;

void use(const Recipe& recipe) {
  const Json json = to_json(recipe);
  fuzz::require(to_json(recipe_from_json(json)) == json, "the recipe changed on its way");
  recipe.needs_calibration();
  recipe.needs_weight_calibration();
  recipe.is_plain();
  excludes(recipe, {"layers.0.self_attn.q_proj"});
  check(recipe_for_layer(recipe, 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Json json;
  if (!fuzz::accepted([&] { json = parse_json(fuzz::text_of(data, size), fuzz::kWhere); }))
    return 0;
  Recipe recipe;
  if (fuzz::accepted<std::invalid_argument>([&] { recipe = recipe_from_json(json); })) use(recipe);
  fuzz::accepted<std::invalid_argument>([&] { check_layers(recipe, 4); });
  return 0;
}
