#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/diffusion/schedule.h"
#include "stamp/models/autoencoder.h"
#include "stamp/pipelines/image.h"

namespace stamp {
namespace {

constexpr int64_t kLargestSide = 16384, kMostPixels = int64_t{1} << 26;
constexpr size_t kMostPrompts = 100000, kLongestPrompt = 1 << 20;

int64_t file_bytes(const std::filesystem::path& directory) {
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().extension() == ".safetensors")
      bytes += static_cast<int64_t>(entry.file_size());
  return bytes;
}

int64_t checked_side(const char* name, int64_t side, int64_t multiple) {
  if (side < multiple || side > kLargestSide || side % multiple != 0)
    throw_argument("image: {}: expected a multiple of {} from {} to {}, got {}", name, multiple,
                   multiple, kLargestSide, side);
  return side;
}

void check_options(const ImageOptions& options) {
  if (options.prompts.empty() || options.prompts.size() > kMostPrompts)
    throw_argument("image: expected 1 to {} prompts, got {}", kMostPrompts, options.prompts.size());
  for (const std::string& prompt : options.prompts)
    if (prompt.size() > kLongestPrompt)
      throw_argument("image: a prompt of {} bytes, expected at most {}", prompt.size(),
                     kLongestPrompt);
  if (!(options.guidance >= 0 && options.guidance <= 1000))
    throw_argument("image: expected a guidance from 0 to 1000, got {}", options.guidance);
  if (options.max_tokens < 2 || options.max_tokens > 4096)
    throw_argument("image: expected 2 to 4096 text tokens, got {}", options.max_tokens);
  if (options.preview < 0)
    throw_argument("image: expected previews every 0 or more steps, got {}", options.preview);
  if (options.tile < 0 || (options.tile > 0 && options.tile < 8))
    throw_argument("image: expected tiles of at least 8 latents, got {}", options.tile);
}

double gib(int64_t bytes) { return static_cast<double>(bytes) / (int64_t{1} << 30); }

}  // namespace

int64_t ImagePlan::peak_bytes() const {
  return std::max({encode_bytes, denoise_bytes, decode_bytes});
}

ImagePlan plan_images(const ImageOptions& options) {
  check_options(options);
  ImagePlan plan{.directory = open_image_directory(options.pipeline)};
  make_schedule(read_scheduler_config(plan.directory.part("scheduler")), options.steps);
  // Opening maps the files; nothing is read yet but the small tensors.
  const auto transformer = open_image_transformer(plan.directory.part("transformer"));
  const auto autoencoder = open_autoencoder(plan.directory.part("vae"));
  const ImageTransformerConfig& c = transformer->config();
  if (c.in_channels != autoencoder->config().latent_channels)
    throw_runtime("{}: the transformer has {} channels of latents, the autoencoder {}",
                  options.pipeline.string(), c.in_channels, autoencoder->config().latent_channels);
  const int64_t factor = autoencoder->config().factor, step = factor * c.patch_size;
  const auto side = [&](const char* name, int64_t wanted) {
    return checked_side(name, wanted != 0 ? wanted : c.sample_size * factor, step);
  };
  plan.width = side("width", options.width);
  plan.height = side("height", options.height);
  if (plan.width * plan.height > kMostPixels)
    throw_argument("image: {} x {} pixels are more than {}", plan.width, plan.height, kMostPixels);
  plan.latent_width = plan.width / factor;
  plan.latent_height = plan.height / factor;
  plan.latent_channels = c.in_channels;
  plan.tokens = plan.width / step * (plan.height / step);
  const int64_t widest = std::max(4 * c.dim(), 2 * c.ff_size);
  const int64_t quantized = options.recipe.weights.bits < 16
                                ? transformer->weight_bytes() * options.recipe.weights.bits / 16
                                : 0;
  plan.encode_bytes = file_bytes(plan.directory.part("text_encoder"));
  plan.denoise_bytes =
      (quantized > 0 ? quantized : file_bytes(plan.directory.part("transformer"))) +
      plan.tokens * (5 * c.dim() + widest) * int64_t{sizeof(float)};
  const int64_t tile = options.tile * factor;
  if (options.preview > 0)
    plan.denoise_bytes += autoencoder->decode_bytes(std::min(plan.height, kPreviewSide * factor),
                                                    std::min(plan.width, kPreviewSide * factor));
  plan.decode_bytes =
      file_bytes(plan.directory.part("vae")) +
      autoencoder->decode_bytes(tile > 0 ? std::min(tile, plan.height) : plan.height,
                                tile > 0 ? std::min(tile, plan.width) : plan.width);
  return plan;
}

ImagePlan plan_images_within(int64_t limit, ImageOptions& options) {
  ImagePlan plan = plan_images(options);
  if (limit <= 0) return plan;
  for (const int64_t tile : {128, 64, 32, 16}) {
    if (plan.decode_bytes <= limit || options.tile > 0) break;
    ImageOptions tiled = options;
    tiled.tile = tile;
    const ImagePlan smaller = plan_images(tiled);
    if (smaller.decode_bytes > limit) continue;
    plan = smaller;
    options.tile = tile;
  }
  if (plan.peak_bytes() > limit)
    throw_runtime(
        "image: needs more than the limit of {:.2f} GiB: text encoder {:.2f}, transformer {:.2f}, "
        "decoder {:.2f}; a smaller --size, a recipe with 4-bit weights or --tile needs less",
        gib(limit), gib(plan.encode_bytes), gib(plan.denoise_bytes), gib(plan.decode_bytes));
  return plan;
}

std::string to_text(const ImagePlan& plan) {
  return fmt::format(
      "{}: {} x {} pixels, {} tokens; memory about {:.1f} GiB (text encoder {:.1f}, transformer "
      "{:.1f}, decoder {:.1f}, one after the other)",
      plan.directory.class_name, plan.width, plan.height, plan.tokens, gib(plan.peak_bytes()),
      gib(plan.encode_bytes), gib(plan.denoise_bytes), gib(plan.decode_bytes));
}

}  // namespace stamp
