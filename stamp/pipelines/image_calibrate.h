#pragma once
// Statistics that recipes of diffusion transformers need, pooled over all denoising steps.
#include "stamp/pipelines/image.h"

namespace stamp {

/// Draws options.prompts with the plain transformer (not decoded) and gathers, for every input that
/// `recipe` quantizes, its statistics over all steps, prompts and both halves of guidance; one
/// image is one window. Empty when the recipe needs none. Throws std::invalid_argument for features
/// that need more than means and ranges.
Calibration calibrate_images(const ImageOptions& options, const ImagePlan& plan,
                             const Recipe& recipe);

/// The same from `file` where it exists, written to it otherwise. Throws std::runtime_error when
/// there is no such file and no `prompts` to make it from.
Calibration image_calibration(ImageOptions options, const ImagePlan& plan, const Recipe& recipe,
                              const std::filesystem::path& file,
                              const std::vector<std::string>& prompts);

}  // namespace stamp
