#include "image_flags.h"

#include <algorithm>
#include <cstdio>

#include "stamp/core/error.h"
#include "stamp/io/text_lines.h"

namespace stamp::cli {
namespace {

namespace fs = std::filesystem;

/// "1024", "1024x768" (width x height).
void read_size(const std::string& text, ImageOptions& options) {
  if (text.empty()) return;
  int width = 0, height = 0, used = 0;
  if (std::sscanf(text.c_str(), "%6dx%6d%n", &width, &height, &used) == 2 &&
      used == static_cast<int>(text.size())) {
    options.width = width;
    options.height = height;
  } else if (std::sscanf(text.c_str(), "%6d%n", &width, &used) == 1 &&
             used == static_cast<int>(text.size())) {
    options.width = options.height = width;
  } else {
    throw_argument("--size: expected WIDTHxHEIGHT or one number, got '{}'", text);
  }
  if (options.width < 1 || options.height < 1)
    throw_argument("--size: expected pixels above 0, got '{}'", text);
}

}  // namespace

void add_image_flags(CLI::App& app, ImageFlags& flags) {
  ImageOptions& options = flags.options;
  app.add_option("--prompts", flags.prompts_file, "file with a prompt per line")
      ->check(CLI::ExistingFile);
  app.add_option("--negative-prompt", options.negative_prompt, "what to stay away from");
  app.add_option("--instruction", flags.instruction_file,
                 "file with text to put before the prompt (SANA)")
      ->check(CLI::ExistingFile);
  app.add_option("--steps", options.steps, "denoising steps")->capture_default_str();
  app.add_option("--guidance", options.guidance, "classifier-free guidance; at most 1: none")
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of the first prompt; the next ones count on")
      ->capture_default_str();
  app.add_option("--size", flags.size, "WIDTHxHEIGHT in pixels; default: the model's own");
  app.add_option("--tile", options.tile,
                 "decode in tiles of so many latents a side: less memory, nearly the same image");
  app.add_option("--calibration-prompts", flags.calibration_file,
                 "prompts to calibrate recipes with, other ones than are drawn")
      ->check(CLI::ExistingFile);
  app.add_option("--max-tokens", options.max_tokens, "text tokens")->capture_default_str();
}

void finish_image_flags(ImageFlags& flags) {
  ImageOptions& options = flags.options;
  if (!flags.prompts_file.empty())
    for (std::string& line : read_lines(flags.prompts_file))
      options.prompts.push_back(std::move(line));
  if (!flags.calibration_file.empty())
    flags.calibration_prompts = read_lines(flags.calibration_file);
  if (!flags.instruction_file.empty()) options.instruction = read_text(flags.instruction_file);
  read_size(flags.size, options);
}

}  // namespace stamp::cli
