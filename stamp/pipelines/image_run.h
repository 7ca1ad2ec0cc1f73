#pragma once
// The steps of drawing images, for those who take them one by one.
#include <optional>

#include "stamp/pipelines/denoise.h"
#include "stamp/pipelines/image.h"

namespace stamp {

/// The conditions of all prompts for one transformer.
struct PreparedPrompts {
  std::vector<ImageCondition> positive;
  std::optional<ImageCondition> negative;

  GuidedCondition condition(size_t index, double guidance) const {
    return {positive[index], negative ? &*negative : nullptr, guidance};
  }
};

/// A recipe with what the size of the image decides: the width of the grid of tokens.
Recipe for_grid(Recipe recipe, const ImagePlan& plan);
std::unique_ptr<ImageTransformer> open_transformer(const ImageOptions& options,
                                                   const ImagePlan& plan, Recipe recipe,
                                                   const ImageCalibration* calibration);
PreparedPrompts prepare_prompts(const ImageTransformer& model, const ImageOptions& options,
                                const ImagePlan& plan, const std::vector<PromptStates>& prompts,
                                ForwardContext& context);
/// The noise that image `index` starts from.
PixelMap noise_of(const ImageOptions& options, const ImagePlan& plan, size_t index);

}  // namespace stamp
