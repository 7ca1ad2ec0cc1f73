#include "stamp/pipelines/ablations.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "stamp/core/communicator.h"
#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/core/version.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/scoring.h"
#include "stamp/pipelines/windows.h"

namespace stamp {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kReferenceBudget = int64_t{1} << 30;

/// Texts, statistics and the reference at one window length.
struct Measured {
  std::vector<std::vector<int32_t>> windows;
  std::map<std::string, Calibration> calibrations;  // by statistics_key()
  std::unique_ptr<ReferenceCache> cache;
};

class Runner {
 public:
  explicit Runner(const AblationOptions& options)
      : options_(options),
        source_(ModelSource::open(options.model)),
        tokenizer_(Tokenizer::load(options.model)),
        ids_(tokenize_file(tokenizer_, options.text)),
        reference_(make_model(source_, {.recipe = source_->reference_recipe()})) {}

  const LlmConfig& config() const { return source_->config(); }
  /// Statistics of all points at once, a pass per window length.
  void prepare(const std::vector<Ablation>& plan);
  void score(AblationPoint& point, const std::string& label);
  void time(AblationPoint& point);
  double perplexity_reference = 0;

 private:
  std::unique_ptr<Model> model_of(const AblationPoint& point);
  void open_length(int64_t context, const std::vector<Recipe>& recipes);

  const AblationOptions& options_;
  std::shared_ptr<const ModelSource> source_;
  Tokenizer tokenizer_;
  std::vector<int32_t> ids_;
  std::unique_ptr<Model> reference_;
  std::map<int64_t, Measured> lengths_;
};

void Runner::open_length(int64_t context, const std::vector<Recipe>& recipes) {
  Measured& length = lengths_[context];
  // Every length scores as many tokens.
  const int64_t windows = options_.max_windows * options_.context / context;
  length.windows =
      make_windows(ids_, tokenizer_.bos_id(),
                   {.context = context,
                    .max_windows = std::max<int64_t>(windows, options_.max_windows > 0),
                    .bos_every_window = options_.bos_every_window});
  length.cache = std::make_unique<ReferenceCache>(*reference_, Compute::kF32, kReferenceBudget);
  if (recipes.empty()) return;
  length.calibrations = calibrate(
      source_, recipes,
      {.ids = calibration_ids(tokenizer_, options_.model, options_.calibration, options_.text),
       .bos_id = options_.bos_every_window ? tokenizer_.bos_id() : -1,
       .context = context});
}

void Runner::prepare(const std::vector<Ablation>& plan) {
  std::map<int64_t, std::map<std::string, Recipe>> wanted;
  for (const Ablation& ablation : plan)
    for (const AblationSeries& series : ablation.series)
      for (const AblationPoint& point : series.points) {
        auto& recipes = wanted[point.context];
        if (!point.recipe.needs_calibration()) continue;
        const std::string key = statistics_key(point.recipe);
        recipes[key] = point.recipe;
        recipes[key].name = key;
      }
  for (const auto& [context, recipes] : wanted) {
    std::vector<Recipe> list;
    for (const auto& [key, recipe] : recipes) list.push_back(recipe);
    open_length(context, list);
  }
}

std::unique_ptr<Model> Runner::model_of(const AblationPoint& point) {
  const auto& calibrations = lengths_.at(point.context).calibrations;
  const auto found = calibrations.find(statistics_key(point.recipe));
  return make_model(source_,
                    {.recipe = point.recipe,
                     .calibration = found == calibrations.end() ? nullptr : &found->second});
}

void Runner::score(AblationPoint& point, const std::string& label) {
  Measured& length = lengths_.at(point.context);
  const auto model = model_of(point);
  const ScoreResult scored = score_windows(*model, *length.cache, length.windows, {.label = label});
  std::vector<double> kl;
  for (const WindowScore& window : scored.all.windows) kl.push_back(window.kl);
  const Interval interval = bootstrap_mean(kl);
  point.kl = scored.all.kl_mean, point.kl_low = interval.low, point.kl_high = interval.high;
  point.perplexity = scored.all.perplexity;
  point.bits = average_bits(*model, point.context).activations;
  if (point.context == options_.context) perplexity_reference = scored.all.perplexity_reference;
}

void Runner::time(AblationPoint& point) {
  const auto model = model_of(point);
  const auto& window = lengths_.at(point.context).windows.front();
  std::vector<double> times;
  ForwardContext context;
  for (int run = 0; run <= options_.timed_runs; ++run) {
    KvCache cache = model->make_cache(point.context);
    const auto start = Clock::now();
    model->forward(window, cache, context);
    const std::chrono::duration<double, std::milli> taken = Clock::now() - start;
    if (run > 0) times.push_back(taken.count());  // the first one warms up
  }
  std::nth_element(times.begin(), times.begin() + std::ssize(times) / 2, times.end());
  point.milliseconds = times[times.size() / 2];
  point.bits = average_bits(*model, point.context).activations;
}

}  // namespace

AblationReport run_ablations(const AblationOptions& options) {
  const auto start = Clock::now();
  AblationReport report{.options = options};
  if (options.timed_runs < 1) throw_argument("ablations: expected a timed run at least");
  Runner runner(options);
  std::vector<Ablation> plan = ablation_plan(options, runner.config());
  runner.prepare(plan);
  for (Ablation& ablation : plan) {
    for (AblationSeries& series : ablation.series) {
      std::vector<AblationPoint> measured;
      for (AblationPoint& point : series.points) {
        if (job_interrupted()) break;
        ablation.timed
            ? runner.time(point)
            : runner.score(point, fmt::format("{}: {}, {}", ablation.id, series.name, point.label));
        if (!job_interrupted()) measured.push_back(std::move(point));
      }
      series.points = std::move(measured);
    }
    report.ablations.push_back(std::move(ablation));
  }
  report.partial = job_interrupted();
  report.perplexity_reference = runner.perplexity_reference;
  report.machine = machine_description();
  report.model_name = std::filesystem::weakly_canonical(options.model).filename().string();
  report.text_name = options.text.filename().string();
  report.commit = build_commit();
  report.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return report;
}

}  // namespace stamp
