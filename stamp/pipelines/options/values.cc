#include "stamp/pipelines/options/values.h"

#include "stamp/models/model.h"

namespace stamp {

void complete_recipe(Recipe& recipe, const std::filesystem::path& model) {
  if (!recipe.name.empty()) return;
  const auto source = ModelSource::open(model);
  recipe = source->stored_recipe() != nullptr ? *source->stored_recipe() : Recipe{};
}

}  // namespace stamp
