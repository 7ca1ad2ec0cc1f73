#include "stamp/core/error.h"
#include "stamp/pipelines/image_compare.h"

namespace stamp {
namespace {

constexpr int kBlock = 64;  // channels that share a scale, of activations and weights

/// One arm of the comparison; all arms of a feature have the same weights.
struct Arm {
  const char *label, *transform, *plan;
};
constexpr Arm kArms[] = {{"", "identity", "uniform"},
                         {", first tokens at 8 bits", "identity", "two_level"},
                         {" + STaMP", "haar2d", "two_level"}};

Recipe arm_recipe(const std::string& feature, int weight_bits, const Arm& arm, int high_tokens) {
  Recipe recipe;
  recipe.name = fmt::format("w{}a4-{}-{}-{}", weight_bits, feature, arm.transform, arm.plan);
  recipe.feature = feature;
  recipe.weights = {.bits = weight_bits, .group = weight_bits < 16 ? kBlock : 0};
  recipe.activations.bits = 4;
  recipe.activations.quantizer.block = kBlock;
  recipe.activations.sequence.transform = arm.transform;
  recipe.activations.plan.kind = arm.plan;
  recipe.activations.plan.high_tokens = high_tokens;
  return recipe;
}

}  // namespace

std::vector<ImageCompareRow> image_compare_grid(int high_tokens) {
  std::vector<ImageCompareRow> rows;
  for (const int weight_bits : {16, 4})
    for (const char* feature : {"none", "hadamard"}) {
      const std::string method = std::string(feature) == "none" ? "RTN" : "Hadamard";
      const int first = static_cast<int>(rows.size());
      for (const Arm& arm : kArms) {
        const bool transformed = std::string(arm.transform) != "identity";
        rows.push_back(
            {.recipe = arm_recipe(feature, weight_bits, arm, high_tokens),
             .label = fmt::format("{}A4 {}{}", weight_bits < 16 ? "W4" : "", method, arm.label),
             .baseline = transformed ? first + 1 : -1});
      }
    }
  return rows;
}

}  // namespace stamp
