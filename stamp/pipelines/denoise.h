#pragma once
// The loop of a diffusion pipeline: from noise to clean latents.
#include <functional>

#include "stamp/diffusion/sampler.h"
#include "stamp/models/image_transformer.h"

namespace stamp {

struct DenoiseOptions {
  int64_t steps = 20;
  /// Called with the number of a step, the guided prediction and the latents: those that it was
  /// made for, and the new ones.
  using Hook =
      std::function<void(size_t step, const PixelMap& prediction, const PixelMap& latents)>;
  Hook before_step, on_step;
  /// Called where set, before a step, with its number and the clean latents as far as they are
  /// known.
  std::function<void(size_t step, PixelMap clean)> on_estimate;
};

/// What one image is drawn to, and, with guidance, away from.
struct GuidedCondition {
  const ImageCondition& positive;
  const ImageCondition* negative = nullptr;  // not null when guidance > 1
  double guidance = 1.0;
};

/// The prediction for latents at a time, guided; learned variances (further channels) are cut off.
PixelMap guided_prediction(const ImageTransformer& model, const PixelMap& latents, double timestep,
                           const GuidedCondition& condition, ForwardContext& context);
/// Throws std::runtime_error when a prediction is not finite, or when interrupted.
PixelMap denoise(const ImageTransformer& model, const SchedulerConfig& scheduler, PixelMap latents,
                 const GuidedCondition& condition, const DenoiseOptions& options,
                 ForwardContext& context);

/// Standard normal latents of a seed, as torch.randn([1, channels, height, width]) draws them.
PixelMap initial_noise(uint64_t seed, int64_t channels, int64_t height, int64_t width);

}  // namespace stamp
