#include "stamp/pipelines/image_compare.h"

#include <algorithm>
#include <chrono>

#include "stamp/core/bytes.h"
#include "stamp/core/communicator.h"
#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/core/progress.h"
#include "stamp/core/version.h"
#include "stamp/pipelines/decode_image.h"
#include "stamp/pipelines/image_calibrate.h"
#include "stamp/pipelines/image_compare_cache.h"
#include "stamp/pipelines/image_run.h"
#include "stamp/pipelines/score_journal.h"

namespace stamp {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What the reference did at every step of one prompt.
struct Trajectory {
  std::vector<PixelMap> latents, predictions;  // before the step; guided
};

/// What all rows are compared with.
struct Reference {
  std::vector<PromptStates> prompts;
  std::vector<PixelMap> latents, images;  // per prompt
  std::vector<Trajectory> trajectories;   // of the first prompts
};

/// Output errors of every linear, pooled.
struct LinearErrors : Observer {
  bool wants_linear_error() const override { return true; }
  void on_linear_error(const std::string& linear, const Sqnr& sqnr) override {
    linears[linear].signal += sqnr.signal;
    linears[linear].noise += sqnr.noise;
  }
  std::map<std::string, Sqnr> linears;
};
struct SiteRecorder : Observer {
  explicit SiteRecorder(std::string name) : site(std::move(name)) {}
  void on_input(const std::string& name, ConstFloatView x, int64_t) override {
    if (name == site) input = Matrix::copy_of(x);
  }
  std::string site;
  Matrix input;
};

constexpr size_t kLinearSteps = 4;  // between those that linears are measured at

ImageOptions calibration_options(const ImageCompareOptions& options) {
  ImageOptions image = options.image;
  image.prompts = options.calibration_prompts;
  return image;
}

std::vector<Picture> to_pictures(const std::vector<PixelMap>& images, int64_t most) {
  std::vector<Picture> pictures;
  for (const PixelMap& image : images)
    if (static_cast<int64_t>(pictures.size()) < most) pictures.push_back(to_picture(image));
  return pictures;
}

std::optional<ClipScorer> make_scorer(const ImageCompareOptions& options) {
  if (options.clip.empty()) return std::nullopt;
  return ClipScorer(options.clip, options.image.prompts);
}

std::string to_bytes(const PixelMap& map) {
  ByteWriter bytes;
  bytes.put(map.height);
  bytes.put(map.width);
  bytes.put(map.channels());
  bytes.put_all(std::span<const float>(map.pixels.data(), static_cast<size_t>(map.pixels.size())));
  return bytes.take();
}

PixelMap to_map(const std::string& text) {
  ByteReader bytes(text);
  const auto height = bytes.get<int64_t>(), width = bytes.get<int64_t>();
  PixelMap map(height, width, bytes.get<int64_t>());
  const auto values = bytes.get_all<std::vector<float>>();
  std::copy(values.begin(), values.end(), map.pixels.data());
  return map;
}

/// What `item` gives for every prompt, one at a time in each process, whose threads work inside it.
template <class Item>
std::vector<std::string> share_prompts(size_t count, Item&& item) {
  std::vector<std::string> all;
  while (all.size() < count) {
    const size_t first = all.size();
    const size_t size = std::min(count - first, static_cast<size_t>(communicator().size()));
    for (std::string& bytes : share_items(static_cast<int64_t>(size), [&](int64_t i) {
           return item(first + static_cast<size_t>(i));
         }))
      all.push_back(std::move(bytes));
  }
  return all;
}

class Comparer {
 public:
  explicit Comparer(const ImageCompareOptions& options)
      : options_(options),
        plan_(plan_images(options.image)),
        scheduler_(read_scheduler_config(plan_.directory.part("scheduler"))),
        scorer_(make_scorer(options)),
        calibrator_(calibration_options(options), plan_, options.cache),
        cache_(options.cache, identity()) {}

  const ImagePlan& plan() const { return plan_; }

  const std::vector<PixelMap>& images() const { return reference_.images; }
  int64_t cut_prompts() const { return scorer_ ? scorer_->cut_prompts() : 0; }

  /// Of images of all prompts; nothing without --clip.
  std::vector<ClipScore> clip_scores(const std::vector<PixelMap>& images) const {
    if (!scorer_) return {};
    return scorer_->score(to_pictures(images, std::ssize(images)));
  }

  /// The middle layer's input half-way through the first image; nothing without a trajectory, which
  /// the first process has.
  ImageSitePicture site_picture() const {
    if (reference_.trajectories.empty() || !is_first_process()) return {};
    const auto model = open_transformer(options_.image, plan_, Recipe{}, nullptr);
    SiteRecorder recorder(fmt::format("blocks.{}.attn1_in", model->config().layers / 2));
    ForwardContext context{.compute = options_.image.compute};
    const PreparedPrompts prompts =
        prepare_prompts(*model, options_.image, plan_, reference_.prompts, context);
    context.observer = &recorder;
    const Schedule schedule = make_schedule(scheduler_, options_.image.steps);
    const size_t step = schedule.timesteps.size() / 2;
    guided_prediction(*model, reference_.trajectories[0].latents[step],
                      static_cast<double>(schedule.timesteps[step]), {prompts.positive[0]},
                      context);
    return make_site_picture(recorder.site, recorder.input.view(),
                             for_grid({}, plan_).activations.sequence.grid_width,
                             options_.grid.high_tokens);
  }

  double make_reference() {
    reference_.prompts = encode_prompts(options_.image, plan_);
    auto model = open_transformer(options_.image, plan_, Recipe{}, nullptr);
    const auto teachers = static_cast<size_t>(std::max<int64_t>(0, options_.teacher_prompts));
    reference_.trajectories.resize(std::min(teachers, options_.image.prompts.size()));
    const auto start = Clock::now();
    reference_.latents = draw(*model, "reference", [&](size_t prompt, DenoiseOptions& run) {
      if (prompt >= reference_.trajectories.size()) return;
      run.before_step = [&, prompt](size_t, const PixelMap& prediction, const PixelMap& latents) {
        reference_.trajectories[prompt].latents.push_back(latents);
        reference_.trajectories[prompt].predictions.push_back(prediction);
      };
    });
    const double seconds = seconds_since(start);
    model.reset();  // autoencoder and CLIP come after it
    reference_.images = decode(reference_.latents);
    return per_step(seconds);
  }

  void measure(ImageCompareRow& row) {
    if (find(row)) return;
    const ImageCalibration calibration = calibrator_.make(row.recipe);
    auto model = open_transformer(options_.image, plan_, row.recipe, &calibration);
    const BitCount bits = model->activation_bits(plan_.latent_height, plan_.latent_width);
    row.bits = bits.average();
    row.bits_with_scales = bits.average_with_scales();
    row.simulated = model->simulated();
    const auto start = Clock::now();
    const std::vector<PixelMap> latents = draw(*model, row.label, [](size_t, DenoiseOptions&) {});
    row.seconds_per_step = per_step(seconds_since(start));
    follow(*model, row);
    model.reset();
    const std::vector<PixelMap> images = decode(latents);
    for (size_t i = 0; i < images.size(); ++i) {
      const PixelMap &want = reference_.images[i], &got = images[i];
      row.scores.push_back({.sqnr = image_sqnr(want, got),
                            .sqnr_unit = image_sqnr_unit(want, got),
                            .sqnr_latents = image_sqnr(reference_.latents[i], latents[i]),
                            .psnr = image_psnr(want, got),
                            .ssim = image_ssim(want, got)});
    }
    row.clip = clip_scores(images);
    row.pictures = to_pictures(images, options_.pictures);
    if (is_first_process()) cache_.keep(row);
  }

 private:
  /// The first process looks for all: others may see the folder later, or not at all.
  bool find(ImageCompareRow& row) const {
    float found = is_first_process() && cache_.find(row) ? 1 : 0;
    communicator().maximum({&found, 1});
    return found > 0;
  }

  double per_step(double seconds) const {
    const auto steps = options_.image.steps * static_cast<int64_t>(options_.image.prompts.size());
    return seconds / static_cast<double>(steps);
  }

  template <class Prepare>
  std::vector<PixelMap> draw(const ImageTransformer& model, const std::string& label,
                             Prepare&& prepare) const {
    const ImageOptions& o = options_.image;
    ForwardContext context{.compute = o.compute};
    const PreparedPrompts prompts = prepare_prompts(model, o, plan_, reference_.prompts, context);
    Progress progress(label, static_cast<int64_t>(o.prompts.size()) * o.steps, "steps");
    const auto drawn = share_prompts(o.prompts.size(), [&](size_t i) {
      DenoiseOptions run{.steps = o.steps};
      run.on_step = [&](size_t, const PixelMap&, const PixelMap&) {
        progress.advance(communicator().size());
      };
      prepare(i, run);
      return to_bytes(denoise(model, scheduler_, noise_of(o, plan_, i),
                              prompts.condition(i, o.guidance), run, context));
    });
    return to_maps(drawn);
  }

  static std::vector<PixelMap> to_maps(const std::vector<std::string>& items) {
    std::vector<PixelMap> maps;
    for (const std::string& bytes : items) maps.push_back(to_map(bytes));
    return maps;
  }

  std::vector<PixelMap> decode(const std::vector<PixelMap>& latents) const {
    const auto autoencoder = open_autoencoder(plan_.directory.part("vae"));
    ForwardContext context{.compute = options_.image.compute};
    return to_maps(share_prompts(latents.size(), [&](size_t i) {
      const int64_t tile = options_.image.tile;
      return to_bytes(clamped(tile > 0 ? decode_tiled(*autoencoder, latents[i], tile, context)
                                       : decode_latents(*autoencoder, latents[i], context)));
    }));
  }

  /// SQNR of the prediction at every step of the reference's own way, and of every linear on the
  /// way of the first prompt.
  void follow(const ImageTransformer& model, ImageCompareRow& row) const {
    LinearErrors errors;
    const ImageOptions& o = options_.image;
    ForwardContext context{.compute = o.compute};
    const PreparedPrompts prompts = prepare_prompts(model, o, plan_, reference_.prompts, context);
    const Schedule schedule = make_schedule(scheduler_, o.steps);
    const size_t steps = schedule.timesteps.size(), count = reference_.trajectories.size();
    const auto followed = share_prompts(count, [&](size_t i) {
      const Trajectory& trajectory = reference_.trajectories[i];
      std::vector<double> sqnr;
      for (size_t step = 0; step < steps; ++step) {
        if (interrupted()) throw_runtime("interrupted");
        context.observer = i == 0 && step % kLinearSteps == 0 ? &errors : nullptr;
        const PixelMap got = guided_prediction(model, trajectory.latents[step],
                                               static_cast<double>(schedule.timesteps[step]),
                                               prompts.condition(i, o.guidance), context);
        sqnr.push_back(image_sqnr(trajectory.predictions[step], got));
      }
      ByteWriter bytes;
      bytes.put_all(sqnr);
      return bytes.take();
    });
    std::vector<double> sqnr(count == 0 ? 0 : steps);
    for (const std::string& bytes : followed) {
      const auto own = ByteReader(bytes).get_all<std::vector<double>>();
      for (size_t step = 0; step < steps; ++step)
        sqnr[step] += own[step] / static_cast<double>(count);
    }
    row.step_sqnr = std::move(sqnr);
    for (const auto& [name, error] : errors.linears) row.layer_sqnr[name] = error.db();
  }

  Json identity() const {
    const ImageOptions& o = options_.image;
    Json json = {{"commit", build_commit()},
                 {"calibration", calibrator_.identity()},
                 {"prompts", o.prompts},
                 {"seed", o.seed},
                 {"tile", o.tile},
                 {"execution", static_cast<int>(o.execution)},
                 {"compute", static_cast<int>(o.compute)},
                 {"pictures", options_.pictures},
                 {"teacher_prompts", options_.teacher_prompts}};
    if (!options_.clip.empty() && !options_.cache.empty())
      json["clip"] = {std::filesystem::canonical(options_.clip).string(),
                      file_stamps(options_.clip)};
    return json;
  }

  const ImageCompareOptions& options_;
  ImagePlan plan_;
  SchedulerConfig scheduler_;
  std::optional<ClipScorer> scorer_;  // before anything is drawn: what is wrong shows at once
  ImageCalibrator calibrator_;
  ImageRowCache cache_;
  Reference reference_;
};

std::vector<ImageCompareRow> listed_rows(const std::vector<std::string>& names) {
  std::vector<ImageCompareRow> rows;
  for (const std::string& name : names) {
    Recipe recipe = load_recipe(name);
    const std::string label = recipe.name;
    rows.push_back({.recipe = std::move(recipe), .label = label});
  }
  return rows;
}

}  // namespace

ImageComparison compare_images(const ImageCompareOptions& options) {
  const auto start = Clock::now();
  std::vector<ImageCompareRow> rows =
      options.recipes.empty() ? image_compare_grid(options.grid) : listed_rows(options.recipes);
  Comparer comparer(options);
  ImageComparison result{.plan = comparer.plan(),
                         .machine = machine_description(),
                         .commit = build_commit(),
                         .pipeline_name = comparer.plan().directory.class_name,
                         .prompts = static_cast<int64_t>(options.image.prompts.size()),
                         .steps = options.image.steps,
                         .guidance = options.image.guidance,
                         .seed = options.image.seed};
  result.reference_seconds_per_step = comparer.make_reference();
  result.clip = comparer.clip_scores(comparer.images());
  result.clip_directory = options.clip.string();
  result.clip_cut_prompts = comparer.cut_prompts();
  result.pictures = to_pictures(comparer.images(), options.pictures);
  if (options.pictures > 0) result.site = comparer.site_picture();
  result.picture_prompts.assign(
      options.image.prompts.begin(),
      options.image.prompts.begin() + static_cast<std::ptrdiff_t>(result.pictures.size()));
  for (ImageCompareRow& row : rows) {
    try {
      comparer.measure(row);
    } catch (const std::runtime_error&) {
      if (!interrupted() || communicator().size() > 1) throw;  // others wait for this one
      result.partial = true;
      break;
    }
    result.rows.push_back(std::move(row));
  }
  result.seconds = seconds_since(start);
  result.peak_rss_bytes = peak_rss_bytes();
  return result;
}

}  // namespace stamp
