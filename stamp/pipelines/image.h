#pragma once
// Text to image: encoder, transformer and autoencoder are loaded, run and dropped in turn, so that
// the largest of them sets the memory needed, not their sum.
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "stamp/io/image_file.h"
#include "stamp/models/image_transformer.h"
#include "stamp/pipelines/image_directory.h"

namespace stamp {

/// What a recipe needs beside itself.
struct ImageCalibration {
  Calibration statistics;
  WeightCodes codes;  // of recipes with a low-rank branch
};

struct ImageOptions {
  std::filesystem::path pipeline;
  std::vector<std::string> prompts;
  std::string negative_prompt, instruction;  // instruction: see PromptOptions
  int64_t width = 0, height = 0;             // pixels; 0: what the transformer was made for
  int64_t steps = 20, max_tokens = 300;
  double guidance = 4.5;
  uint64_t seed = 0;  // prompt i gets seed + i
  int64_t tile = 0;   // latents per side of a tile of the decoder; 0: the whole image at once
  Recipe recipe;
  const ImageCalibration* calibration = nullptr;
  int64_t preview = 0;  // steps from one preview to the next; 0: none
  Execution execution = Execution::kInteger;
  Compute compute = Compute::kF32;
};

struct GeneratedImage {
  std::string prompt;
  uint64_t seed = 0;
  PixelMap latents;        // as the transformer left them
  PixelMap pixels;         // about -1 .. 1, [height, width, 3]
  bool simulated = false;  // something quantized ran in fp32, not in integers
};

/// What a run will need, from the files alone.
struct ImagePlan {
  ImageDirectory directory;
  int64_t width = 0, height = 0;  // pixels
  int64_t latent_width = 0, latent_height = 0, latent_channels = 0, tokens = 0;
  /// Bytes of weights and activations while each part runs; files' pages count as far as they stay.
  int64_t encode_bytes = 0, denoise_bytes = 0, decode_bytes = 0;
  int64_t peak_bytes() const;
};

/// Checks options against the pipeline. Throws std::invalid_argument for absurd sizes, steps or
/// prompts, std::runtime_error for what is wrong with the directory.
ImagePlan plan_images(const ImageOptions& options);
/// The same within `limit` bytes (see ImagePlan::peak_bytes(); 0: any number): where the decoder
/// needs more and options.tile is 0, that is set to the largest of 128, 64, 32 and 16 that fits.
/// Throws std::runtime_error that says which part needs how much when nothing helps.
ImagePlan plan_images_within(int64_t limit, ImageOptions& options);

/// Called for every finished image, in order; decoding and denoising of the next one follow.
using ImageSink = std::function<void(size_t index, GeneratedImage& image)>;
constexpr int64_t kPreviewSide = 32;
/// Called with what image `index` would be after `step` steps (counted from 1), about -1 .. 1. Its
/// latents are averaged down to at most kPreviewSide a side first, so that it costs little.
using PreviewSink = std::function<void(size_t index, size_t step, const PixelMap& pixels)>;
/// Draws all prompts. `preview` may be empty; it is called every options.preview steps, but not for
/// the last step. Throws std::runtime_error where weights or results are not finite, for unreadable
/// files, and when interrupted.
void generate_images(const ImageOptions& options, const ImagePlan& plan, const ImageSink& sink,
                     const PreviewSink& preview = {});

/// A text encoder's states of one prompt, without padding.
struct PromptStates {
  Matrix states;
  std::vector<uint8_t> mask;
};
/// States of all prompts, then those of the negative prompt (last; only with guidance).
std::vector<PromptStates> encode_prompts(const ImageOptions& options, const ImagePlan& plan);
std::string to_text(const ImagePlan& plan);

}  // namespace stamp
