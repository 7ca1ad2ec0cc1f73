#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "image_flags.h"
#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/core/version.h"
#include "stamp/pipelines/decode_image.h"
#include "stamp/pipelines/image_calibrate.h"

namespace stamp::cli {
namespace {

namespace fs = std::filesystem;

struct Flags : ImageFlags {
  std::string prompt, recipe;
  fs::path out = "image.png", cache;
  int64_t memory_limit = 0;
  bool dry_run = false;
};

/// Work that takes minutes must not fail at its end.
void check_output(const fs::path& out) {
  if (!is_picture_name(out))
    throw_argument("--out: expected a name that ends in .png, .jpg or .jpeg, got '{}'",
                   out.string());
  const fs::path folder = out.has_parent_path() ? out.parent_path() : fs::path(".");
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw_runtime("--out: there is no folder {}", folder.string());
  if (::access(folder.c_str(), W_OK) != 0)
    throw_runtime("--out: the folder {} cannot be written to", folder.string());
}

/// x.png, or x-0001.png and so on for several.
fs::path numbered(const fs::path& out, size_t index, size_t count) {
  if (count == 1) return out;
  fs::path name = out;
  return name.replace_filename(
      fmt::format("{}-{:04}{}", out.stem().string(), index + 1, out.extension().string()));
}

/// x.png's is x-preview.png; every preview replaces the one before.
fs::path preview_name(fs::path name) {
  return name.replace_filename(name.stem().string() + "-preview" + name.extension().string());
}

PictureMetadata metadata_of(const Flags& flags, const ImagePlan& plan,
                            const GeneratedImage& image) {
  return {{"Software", fmt::format("stamp {} ({})", version(), build_commit())},
          {"prompt", image.prompt},
          {"negative_prompt", flags.options.negative_prompt},
          {"seed", std::to_string(image.seed)},
          {"steps", std::to_string(flags.options.steps)},
          {"guidance", fmt::format("{}", flags.options.guidance)},
          {"size", fmt::format("{}x{}", plan.width, plan.height)},
          {"pipeline", fs::absolute(plan.directory.path).lexically_normal().filename().string()},
          {"recipe", to_json(flags.options.recipe).dump()},
          {"simulated", image.simulated ? "yes" : "no"}};
}

ImageCalibration calibrate(ImageOptions options, const ImagePlan& plan, const Flags& flags) {
  options.prompts = flags.calibration_prompts;
  return ImageCalibrator(std::move(options), plan, flags.cache).make(flags.options.recipe);
}

void run(Flags& flags) {
  ImageOptions& options = flags.options;
  if (!flags.prompt.empty()) options.prompts.push_back(flags.prompt);
  finish_image_flags(flags);
  if (options.prompts.empty()) throw_argument("image: pass --prompt or --prompts");
  if (!flags.recipe.empty()) options.recipe = load_recipe(flags.recipe);
  check_output(flags.out);
  options.compute = usable_compute(options.compute);
  const ImagePlan plan = plan_images_within(flags.memory_limit, options);
  fmt::print(stderr, "{}\n", to_text(plan));
  if (flags.dry_run) return;
  const ImageCalibration calibration = calibrate(options, plan, flags);
  options.calibration = &calibration;
  const auto name_of = [&](size_t index) {
    return numbered(flags.out, index, options.prompts.size());
  };
  const auto write = [&](size_t index, const GeneratedImage& image) {
    if (index == 0 && image.simulated)
      fmt::print(stderr, "note: recipe {} ran simulated, not in integers\n", options.recipe.name);
    write_picture(name_of(index), to_picture(image.pixels), metadata_of(flags, plan, image));
    fmt::print("{}\n", name_of(index).string());
  };
  const auto write_preview = [&](size_t index, size_t, const PixelMap& pixels) {
    write_picture(preview_name(name_of(index)), to_picture(pixels), {});
  };
  generate_images(options, plan, write, write_preview);
  fmt::print(stderr, "peak memory {:.2f} GiB\n",
             static_cast<double>(peak_rss_bytes()) / (int64_t{1} << 30));
}

}  // namespace

void add_image(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<Flags>();
  ImageOptions& options = flags->options;
  app.add_option("PIPELINE", options.pipeline, "diffusers directory of a PixArt or SANA pipeline")
      ->required();
  app.add_option("--prompt", flags->prompt, "what to draw");
  add_image_flags(app, *flags);
  app.add_option("--recipe", flags->recipe,
                 "preset or JSON file; default: bf16, nothing quantized");
  app.add_option("--cache", flags->cache, "folder that keeps calibrations for the next run");
  app.add_option("--out", flags->out, "x.png or x.jpg; several become x-0001.png, ...");
  app.add_option("--preview", options.preview,
                 "after so many steps, write what x.png would be by then to x-preview.png (small); "
                 "0: never")
      ->capture_default_str();
  app.add_option("--memory-limit", flags->memory_limit,
                 "bytes, or with a unit such as 8GiB: decode in tiles where that is needed, and "
                 "refuse beforehand what would take more")
      ->transform(CLI::AsSizeValue(false));
  app.add_flag("--dry-run", flags->dry_run, "only check everything and say what it needs");
  add_compute(app, "--compute", options.compute, "what unquantized products are computed in");
  add_execution(app, options.execution);
  app.callback([flags, &exit_code] {
    run(*flags);
    exit_code = 0;
  });
}

}  // namespace stamp::cli
