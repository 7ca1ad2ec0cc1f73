#include "stamp/pipelines/denoise.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/diffusion/torch_noise.h"

namespace stamp {
namespace {

std::span<float> values_of(PixelMap& map) {
  return {map.pixels.data(), static_cast<size_t>(map.pixels.size())};
}

PixelMap estimate(const Sampler& sampler, PixelMap& prediction, PixelMap& latents) {
  PixelMap clean(latents.height, latents.width, latents.channels());
  std::ranges::copy(sampler.clean_estimate(values_of(prediction), values_of(latents)),
                    clean.pixels.data());
  return clean;
}

/// Without the variances that some models predict as well.
PixelMap noise_channels(PixelMap prediction, int64_t channels) {
  if (prediction.channels() == channels) return prediction;
  PixelMap part(prediction.height, prediction.width, channels);
  for (int64_t i = 0; i < part.pixels.rows(); ++i)
    std::copy_n(prediction.pixels.row(i), channels, part.pixels.row(i));
  return part;
}

void check_finite(PixelMap& prediction, size_t step) {
  const std::span<float> values = values_of(prediction);
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    throw_runtime("transformer: the prediction of step {} is not finite; do the weights hold NaN?",
                  step + 1);
}

}  // namespace

PixelMap guided_prediction(const ImageTransformer& model, const PixelMap& latents, double timestep,
                           const GuidedCondition& condition, ForwardContext& context) {
  const bool guided = condition.guidance > 1.0;
  if (guided && condition.negative == nullptr)
    throw_argument("denoise: guidance needs a negative condition");
  const auto predict = [&](const ImageCondition& own) {
    return noise_channels(
        model.forward(latents, timestep * model.config().timestep_scale, own, context),
        latents.channels());
  };
  PixelMap prediction = predict(condition.positive);
  if (guided) {
    PixelMap other = predict(*condition.negative);
    guide(values_of(prediction), values_of(other), condition.guidance);
  }
  return prediction;
}

PixelMap denoise(const ImageTransformer& model, const SchedulerConfig& scheduler, PixelMap latents,
                 const GuidedCondition& condition, const DenoiseOptions& options,
                 ForwardContext& context) {
  Sampler sampler(scheduler, options.steps);
  for (size_t step = 0; step < sampler.steps(); ++step) {
    if (interrupted()) throw_runtime("interrupted");
    const auto time = static_cast<double>(sampler.schedule().timesteps[step]);
    PixelMap prediction = guided_prediction(model, latents, time, condition, context);
    check_finite(prediction, step);
    if (options.before_step) options.before_step(step, prediction, latents);
    if (options.on_estimate) options.on_estimate(step, estimate(sampler, prediction, latents));
    sampler.step(values_of(prediction), values_of(latents));
    if (options.on_step) options.on_step(step, prediction, latents);
  }
  return latents;
}

PixelMap initial_noise(uint64_t seed, int64_t channels, int64_t height, int64_t width) {
  std::vector<float> values(static_cast<size_t>(element_count({channels, height, width})));
  TorchNoise(seed).fill(values);
  return from_planes(values, channels, height, width);
}

}  // namespace stamp
