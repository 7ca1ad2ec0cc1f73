#include "stamp/pipelines/image.h"

#include <cmath>
#include <optional>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/pipelines/decode_image.h"
#include "stamp/pipelines/image_run.h"
#include "stamp/pipelines/prompt.h"

namespace stamp {
namespace {

/// Runs `action`; where it finds values that are not finite, looks for the tensor to blame.
template <class Action>
auto blaming(const std::filesystem::path& part, const char* stem, Action&& action) {
  try {
    return action();
  } catch (const std::runtime_error& error) {
    if (std::string(error.what()).find("not finite") != std::string::npos)
      check_finite_weights(*Component::open(part, stem));
    throw;
  }
}

constexpr const char* kStem = "diffusion_pytorch_model";

PromptStates encode_one(const Tokenizer& tokenizer, const TextEncoder& encoder,
                        const std::string& prompt, const PromptOptions& options,
                        ForwardContext& context) {
  EncodedPrompt encoded = encode_prompt(tokenizer, encoder, prompt, options, context);
  for (const float value :
       std::span(encoded.states.data(), static_cast<size_t>(encoded.states.size())))
    if (!std::isfinite(value)) throw_runtime("text encoder: the states are not finite");
  return {std::move(encoded.states), std::move(encoded.mask)};
}

/// Calls a PreviewSink as options.preview asks.
class Previews {
 public:
  Previews(const ImageOptions& options, const ImagePlan& plan, const PreviewSink& sink)
      : options_(options), sink_(sink) {
    if (sink && options.preview > 0) autoencoder_ = open_autoencoder(plan.directory.part("vae"));
  }

  void attach(DenoiseOptions& run, size_t index) const {
    if (!autoencoder_) return;
    run.on_estimate = [this, index](size_t step, const PixelMap& clean) {
      const auto done = static_cast<int64_t>(step) + 1;
      if (done % options_.preview != 0 || done == options_.steps) return;
      ForwardContext context{.compute = options_.compute};
      sink_(index, static_cast<size_t>(done),
            decode_latents(*autoencoder_, averaged_down(clean, kPreviewSide), context));
    };
  }

 private:
  const ImageOptions& options_;
  const PreviewSink& sink_;
  std::unique_ptr<Autoencoder> autoencoder_;
};

/// All but the pixels.
std::vector<GeneratedImage> denoise_all(const ImageOptions& options, const ImagePlan& plan,
                                        const std::vector<PromptStates>& prompts,
                                        const PreviewSink& preview) {
  const Previews previews(options, plan, preview);
  const auto model = open_transformer(options, plan, options.recipe, options.calibration);
  const SchedulerConfig scheduler = read_scheduler_config(plan.directory.part("scheduler"));
  ForwardContext context{.compute = options.compute};
  const PreparedPrompts prepared = prepare_prompts(*model, options, plan, prompts, context);
  const auto count = static_cast<int64_t>(options.prompts.size());
  Progress progress("denoise", count * options.steps, "steps");
  DenoiseOptions run{.steps = options.steps};
  run.on_step = [&](size_t, const PixelMap&, const PixelMap&) { progress.advance(1); };
  std::vector<GeneratedImage> images;
  for (size_t i = 0; i < options.prompts.size(); ++i) {
    previews.attach(run, i);
    images.push_back({.prompt = options.prompts[i],
                      .seed = options.seed + i,
                      .latents = denoise(*model, scheduler, noise_of(options, plan, i),
                                         prepared.condition(i, options.guidance), run, context),
                      .pixels = {},
                      .simulated = model->simulated()});
  }
  return images;
}

}  // namespace

std::vector<PromptStates> encode_prompts(const ImageOptions& options, const ImagePlan& plan) {
  const Tokenizer tokenizer = Tokenizer::load(plan.directory.part("tokenizer"));
  const auto encoder = open_text_encoder(plan.directory.part("text_encoder"));
  ForwardContext context{.compute = options.compute};
  PromptOptions prompt{.family = plan.directory.family,
                       .max_tokens = options.max_tokens,
                       .instruction = options.instruction};
  Progress progress("encode", static_cast<int64_t>(options.prompts.size()), "prompts");
  std::vector<PromptStates> states;
  for (const std::string& text : options.prompts) {
    if (interrupted()) throw_runtime("interrupted");
    states.push_back(encode_one(tokenizer, *encoder, text, prompt, context));
    progress.advance(1);
  }
  if (options.guidance > 1) {
    prompt.instruction.clear();
    states.push_back(encode_one(tokenizer, *encoder, options.negative_prompt, prompt, context));
  }
  return states;
}

/// Two-dimensional transforms see the grid of patches of the image that is drawn.
Recipe for_grid(Recipe recipe, const ImagePlan& plan) {
  const double columns =
      std::sqrt(static_cast<double>(plan.tokens) * static_cast<double>(plan.latent_width) /
                static_cast<double>(plan.latent_height));
  recipe.activations.sequence.grid_width = static_cast<int>(std::lround(columns));
  return recipe;
}

std::unique_ptr<ImageTransformer> open_transformer(const ImageOptions& options,
                                                   const ImagePlan& plan, Recipe recipe,
                                                   const ImageCalibration* calibration) {
  return open_image_transformer(plan.directory.part("transformer"),
                                {.recipe = for_grid(std::move(recipe), plan),
                                 .calibration = calibration ? &calibration->statistics : nullptr,
                                 .codes = calibration ? &calibration->codes : nullptr,
                                 .execution = options.execution});
}

PreparedPrompts prepare_prompts(const ImageTransformer& model, const ImageOptions& options,
                                const ImagePlan& plan, const std::vector<PromptStates>& prompts,
                                ForwardContext& context) {
  PreparedPrompts result;
  for (size_t i = 0; i < prompts.size(); ++i) {
    ImageCondition condition = model.condition(prompts[i].states.view(), prompts[i].mask, context);
    condition.height = static_cast<double>(plan.height);
    condition.width = static_cast<double>(plan.width);
    if (i < options.prompts.size())
      result.positive.push_back(std::move(condition));
    else
      result.negative = std::move(condition);
  }
  return result;
}

PixelMap noise_of(const ImageOptions& options, const ImagePlan& plan, size_t index) {
  return initial_noise(options.seed + index, plan.latent_channels, plan.latent_height,
                       plan.latent_width);
}

void generate_images(const ImageOptions& options, const ImagePlan& plan, const ImageSink& sink,
                     const PreviewSink& preview) {
  const std::vector<PromptStates> prompts = blaming(plan.directory.part("text_encoder"), "model",
                                                    [&] { return encode_prompts(options, plan); });
  std::vector<GeneratedImage> images = blaming(plan.directory.part("transformer"), kStem, [&] {
    return denoise_all(options, plan, prompts, preview);
  });
  const auto autoencoder = open_autoencoder(plan.directory.part("vae"));
  ForwardContext context{.compute = options.compute};
  Progress progress("decode", static_cast<int64_t>(images.size()), "images");
  for (size_t i = 0; i < images.size(); ++i) {
    if (interrupted()) throw_runtime("interrupted");
    GeneratedImage image = std::move(images[i]);
    image.pixels = blaming(plan.directory.part("vae"), kStem, [&] {
      return options.tile > 0 ? decode_tiled(*autoencoder, image.latents, options.tile, context)
                              : decode_latents(*autoencoder, image.latents, context);
    });
    sink(i, image);
    progress.advance(1);
  }
}

}  // namespace stamp
