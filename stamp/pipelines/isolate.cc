// One tensor of a recipe at a time.
#include "stamp/core/error.h"
#include "stamp/models/weights.h"
#include "stamp/pipelines/sensitivity.h"

namespace stamp {
namespace {

std::string weight_name(int64_t layer, const std::string& name) {
  return fmt::format("layers.{}.{}", layer, name);
}

/// Names of one linear of every group but this one: excluding it leaves the group alone.
std::vector<std::string> all_but(const std::vector<LinearGroup>& groups, int64_t layers,
                                 int64_t layer, const LinearGroup* kept) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < layers; ++i)
    for (const LinearGroup& group : groups)
      if (i != layer || &group != kept) names.push_back(weight_name(i, group.weights.front().name));
  return names;
}

Recipe plain_parts(Recipe recipe) {
  recipe.lm_head = {};
  recipe.embedding_bits = 16;
  recipe.weights = {};
  recipe.activations.bits = 16;
  recipe.k.bits = recipe.v.bits = 16;
  recipe.attention_bits = 16;
  recipe.layers.clear();
  return recipe;
}

}  // namespace

std::vector<IsolatedRecipe> isolate(const Recipe& recipe, const LlmConfig& config) {
  const std::vector<LinearGroup> groups = linear_groups(config);
  const auto layers = static_cast<int64_t>(config.layers);
  std::vector<IsolatedRecipe> result;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const Recipe own = recipe_for_layer(recipe, layer), plain = plain_parts(own);
    const auto add = [&](const std::string& kind, Recipe alone) {
      alone.name = fmt::format("layers.{}.{}", layer, kind);
      result.push_back({layer, kind, std::move(alone)});
    };
    const auto only_this_layer = [&](Recipe alone, bool keys) {
      for (int64_t other = 0; other < layers; ++other)
        if (other != layer)
          alone.layers.push_back(
              {.range = std::to_string(other), .k_bits = keys ? 16 : 0, .v_bits = keys ? 0 : 16});
      return alone;
    };
    for (const LinearGroup& group : groups) {
      if (excludes(recipe, {weight_name(layer, group.weights.front().name)})) continue;
      Recipe alone = plain;
      alone.exclude = all_but(groups, layers, layer, &group);
      alone.activations = own.activations;
      if (own.activations.bits < 16) add(group.input, alone);
      alone.activations = plain.activations;
      alone.weights = own.weights;
      if (own.weights.bits < 16) add(group.input + " weights", alone);
    }
    Recipe alone = plain;
    alone.k.bits = own.k.bits;
    if (own.k.bits < 16) add("k", only_this_layer(alone, true));
    alone = plain;
    alone.v.bits = own.v.bits;
    if (own.v.bits < 16) add("v", only_this_layer(alone, false));
  }
  return result;
}

}  // namespace stamp
