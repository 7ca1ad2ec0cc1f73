#include "stamp/pipelines/image_bench.h"

#include <algorithm>
#include <chrono>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/core/progress.h"
#include "stamp/core/rng.h"
#include "stamp/core/version.h"
#include "stamp/io/temporary_directory.h"
#include "stamp/pipelines/denoise.h"
#include "stamp/pipelines/synthetic_transformer.h"

namespace stamp {
namespace {

constexpr int64_t kTextTokens = 300;
constexpr double kTimestep = 500;

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

const ImageShape& shape_of(const std::string& name) {
  for (const ImageShape& shape : image_shapes())
    if (shape.name == name) return shape;
  throw_argument("shape: expected {}, got '{}'", fmt::join(image_shape_names(), ", "), name);
}

/// One model and what it is asked about.
class Runner {
 public:
  Runner(const std::filesystem::path& directory, const ImageBenchOptions& options, Recipe recipe,
         const ImageShape& shape)
      : latents_(initial_noise(0, shape.in_channels, shape.sample_size, shape.sample_size)) {
    const auto start = Clock::now();
    model_ = open_image_transformer(directory, {.recipe = recipe, .execution = options.execution});
    side_.load_seconds = seconds_since(start);
    side_.recipe = std::move(recipe);
    side_.simulated = model_->simulated();
    side_.weight_bytes = model_->weight_bytes();
    context_.compute = options.compute;
    Rng rng(1);
    Matrix text(kTextTokens, shape.caption);
    for (int64_t i = 0; i < text.size(); ++i) text.data()[i] = static_cast<float>(rng.normal());
    const std::vector<uint8_t> mask(kTextTokens, 1);
    condition_ = model_->condition(text.view(), mask, context_);
  }

  void step(bool keep) {
    context_.phases = keep ? &side_.phases : nullptr;
    const auto start = Clock::now();
    model_->forward(latents_, kTimestep, condition_, context_);
    if (keep) side_.step_seconds.push_back(seconds_since(start));
  }
  const ImageBenchSide& side() const { return side_; }

 private:
  PixelMap latents_;
  std::unique_ptr<ImageTransformer> model_;
  ForwardContext context_;
  ImageCondition condition_;
  ImageBenchSide side_;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

std::vector<std::string> image_shape_names() {
  std::vector<std::string> names;
  for (const ImageShape& shape : image_shapes()) names.push_back(shape.name);
  return names;
}

ImageBenchResult bench_image_step(const ImageBenchOptions& options) {
  if (options.recipes.empty() || options.recipes.size() > 2)
    throw_argument("bench: expected one or two recipes, got {}", options.recipes.size());
  if (options.runs < 1) throw_argument("bench: expected at least one run, got {}", options.runs);
  if (communicator().size() > 1)
    throw_argument("bench: an image step is measured in one process, not in {}",
                   communicator().size());
  const ImageShape& shape = shape_of(options.shape);
  const int64_t side = shape.sample_size / shape.patch;
  const TemporaryDirectory directory;
  write_synthetic_transformer(shape, directory.path());
  std::vector<std::unique_ptr<Runner>> runners;
  for (const Recipe& recipe : options.recipes)
    runners.push_back(std::make_unique<Runner>(directory.path(), options, recipe, shape));
  ImageBenchResult result{.tokens = side * side};
  Progress progress("bench", options.runs + 1, "runs");
  for (int run = 0; run <= options.runs && !result.partial; ++run) {
    for (size_t i = 0; i < runners.size(); ++i)
      runners[run % 2 == 0 ? i : runners.size() - 1 - i]->step(run > 0);
    progress.advance(1);
    result.partial = interrupted();
  }
  for (const auto& runner : runners) result.sides.push_back(runner->side());
  result.peak_rss_bytes = peak_rss_bytes();
  return result;
}

std::string to_text(const ImageBenchResult& result, const ImageBenchOptions& options) {
  std::string text = fmt::format("{}: one step, {} image tokens, {} text tokens\n", options.shape,
                                 result.tokens, kTextTokens);
  for (const ImageBenchSide& side : result.sides) {
    text += fmt::format("{}{}: {:.3f} s per step (of {}), loaded in {:.1f} s, weights {:.2f} GiB\n",
                        side.recipe.name, side.simulated ? " (simulated)" : "",
                        median(side.step_seconds), side.step_seconds.size(), side.load_seconds,
                        static_cast<double>(side.weight_bytes) / (int64_t{1} << 30));
    const double total = std::max(side.phases.total(), 1e-9);
    for (size_t i = 0; i < kPhaseNames.size(); ++i)
      if (const double seconds = side.phases.seconds(static_cast<Phase>(i)); seconds > 0)
        text += fmt::format("  {:9} {:5.1f} %\n", kPhaseNames[i], 100 * seconds / total);
  }
  if (result.sides.size() == 2)
    text += fmt::format("{:.2f} times as fast\n", median(result.sides[1].step_seconds) /
                                                      median(result.sides[0].step_seconds));
  return text + fmt::format("peak memory {:.2f} GiB\n",
                            static_cast<double>(result.peak_rss_bytes) / (int64_t{1} << 30));
}

Json to_json(const ImageBenchResult& result, const ImageBenchOptions& options) {
  Json sides = Json::array();
  for (const ImageBenchSide& side : result.sides) {
    Json phases = Json::object();
    for (size_t i = 0; i < kPhaseNames.size(); ++i)
      phases[std::string(kPhaseNames[i])] = side.phases.seconds(static_cast<Phase>(i));
    sides.push_back({{"recipe", side.recipe.name},
                     {"simulated", side.simulated},
                     {"load_seconds", side.load_seconds},
                     {"step_seconds", side.step_seconds},
                     {"phases", phases},
                     {"weight_bytes", side.weight_bytes}});
  }
  return {{"kind", "bench"},
          {"commit", build_commit()},
          {"shape", options.shape},
          {"tokens", result.tokens},
          {"peak_rss_bytes", result.peak_rss_bytes},
          {"partial", result.partial},
          {"sides", sides}};
}

}  // namespace stamp
