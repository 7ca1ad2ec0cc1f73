#include "stamp/pipelines/options/values.h"

#include "stamp/models/stored_recipe.h"

namespace stamp {

void complete_recipe(Recipe& recipe, const std::filesystem::path& model) {
  if (!recipe.name.empty()) return;
  recipe = read_stored_recipe(model, read_llm_config(model)).value_or(Recipe{});
}

}  // namespace stamp
