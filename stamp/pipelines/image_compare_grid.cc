#include "stamp/core/error.h"
#include "stamp/pipelines/image_compare.h"

namespace stamp {
namespace {

constexpr int kBlock = 64;  // channels that share a scale, of activations and weights
constexpr int kRank = 32;   // SVDQuant's branch

/// A feature transform under the name of the method that is known for it.
struct Method {
  const char *feature, *label;
};
constexpr Method kMethods[] = {{"none", "RTN"},
                               {"hadamard", "Hadamard"},
                               {"smoothquant", "SmoothQuant"},
                               {"vidit-q", "ViDiT-Q"},
                               {"svdquant", "SVDQuant"}};

/// One arm of the comparison; all arms of a method have the same weights. The second is what those
/// with a transform, which spend as many bits, are compared with.
struct Arm {
  const char *label, *transform, *plan;
};
constexpr Arm kArms[] = {{"", "identity", "uniform"},
                         {", first tokens at 8 bits", "identity", "two_level"},
                         {" + STaMP", "haar2d", "two_level"},
                         {" + STaMP, waterfill", "haar2d", "waterfill"}};

Recipe arm_recipe(const Method& method, int weight_bits, int bits, const Arm& arm,
                  int high_tokens) {
  Recipe recipe;
  recipe.name =
      fmt::format("w{}a{}-{}-{}-{}", weight_bits, bits, method.feature, arm.transform, arm.plan);
  recipe.feature = method.feature;
  recipe.smoothing.all_inputs = true;
  recipe.weights = {.bits = weight_bits, .group = weight_bits < 16 ? kBlock : 0};
  if (recipe.feature == "svdquant" && weight_bits < 16) recipe.weights.rank = kRank;
  recipe.activations.bits = bits;
  recipe.activations.quantizer.block = kBlock;
  recipe.activations.sequence.transform = arm.transform;
  recipe.activations.plan.kind = arm.plan;
  recipe.activations.plan.high_tokens = high_tokens;
  return recipe;
}

const Method& method_of(const std::string& feature) {
  for (const Method& method : kMethods)
    if (feature == method.feature || (feature == "rtn" && method.feature == std::string("none")))
      return method;
  throw_argument("compare: feature '{}': of images there are {}", feature,
                 fmt::join(image_compare_features(), ", "));
}

}  // namespace

std::vector<std::string> image_compare_features() {
  std::vector<std::string> features;
  for (const Method& method : kMethods) features.emplace_back(method.feature);
  return features;
}

std::vector<ImageCompareRow> image_compare_grid(const ImageGrid& grid) {
  std::vector<ImageCompareRow> rows;
  for (const int weight_bits : grid.weights)
    for (const int bits : grid.activations)
      for (const std::string& feature : grid.features) {
        const Method& method = method_of(feature);
        const int first = static_cast<int>(rows.size());
        for (const Arm& arm : kArms) {
          const std::string widths = weight_bits < 16 ? fmt::format("W{}A{}", weight_bits, bits)
                                                      : fmt::format("A{}", bits);
          const bool transformed = std::string(arm.transform) != "identity";
          rows.push_back({.recipe = arm_recipe(method, weight_bits, bits, arm, grid.high_tokens),
                          .label = fmt::format("{} {}{}", widths, method.label, arm.label),
                          .baseline = transformed ? first + 1 : -1});
          check(rows.back().recipe);
        }
      }
  return rows;
}

}  // namespace stamp
