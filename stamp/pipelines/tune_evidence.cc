#include "stamp/pipelines/tune_evidence.h"

#include "stamp/core/progress.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/quantize_layers.h"
#include "stamp/pipelines/scoring.h"
#include "stamp/pipelines/windows.h"
#include "stamp/quant/metrics.h"

namespace stamp {
namespace {

constexpr int64_t kReferenceBudget = int64_t{1} << 30;

/// None by default for stored weights, which only their own recipe can serve.
std::vector<Recipe> rivals(const TuneOptions& options, const Recipe& recipe,
                           const ModelSource& source) {
  std::vector<Recipe> result;
  for (const std::string& name : options.rivals) result.push_back(load_recipe(name));
  if (!result.empty() || source.stored_recipe() != nullptr) return result;
  const auto weights = [](const Recipe& of) { return to_json(of)["weights"]; };
  for (const std::string& name : preset_names()) {
    Recipe preset = load_recipe(name);
    if (preset.activations.bits <= recipe.activations.bits && weights(preset) == weights(recipe) &&
        !preset.needs_learning())
      result.push_back(std::move(preset));
  }
  return result;
}

const TuneEvidence* best_preset(const std::vector<TuneEvidence>& evidence) {
  const TuneEvidence* best = nullptr;
  for (size_t i = 1; i < evidence.size(); ++i)
    if (best == nullptr || evidence[i].scores.kl_mean < best->scores.kl_mean) best = &evidence[i];
  return best;
}

void compare_with(const TuneEvidence& preset, Tuning& tuning) {
  std::vector<double> differences;
  const auto& mine = tuning.evidence.front().scores.windows;
  for (size_t i = 0; i < mine.size(); ++i)
    differences.push_back(mine[i].kl - preset.scores.windows[i].kl);
  for (const double d : differences) tuning.difference += d / static_cast<double>(mine.size());
  const Interval interval = bootstrap_mean(differences);
  tuning.difference_low = interval.low, tuning.difference_high = interval.high;
}

}  // namespace

void add_evidence(Tuning& tuning) {
  const TuneOptions& options = tuning.options;
  const auto source = ModelSource::open(options.model);
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  std::vector<Recipe> recipes = rivals(options, tuning.best, *source);
  recipes.insert(recipes.begin(), tuning.best);
  if (interrupted()) return;
  const CalibrateOptions text{
      .ids = calibration_ids(tokenizer, options.model, options.calibration, options.text),
      .bos_id = options.bos_every_window ? tokenizer.bos_id() : -1,
      .context = options.context};
  const auto calibrations = calibrate(source, recipes, text);
  const Calibration none;
  const auto windows = make_windows(tokenize_file(tokenizer, options.text), tokenizer.bos_id(),
                                    {.context = options.context,
                                     .max_windows = options.evidence_windows,
                                     .bos_every_window = options.bos_every_window});
  const auto reference = make_model(source, {.recipe = source->reference_recipe()});
  ReferenceCache cache(*reference, Compute::kF32, kReferenceBudget);
  for (const Recipe& recipe : recipes) {
    if (interrupted()) return;
    const auto found = calibrations.find(recipe.name);
    const Calibration& calibration = found == calibrations.end() ? none : found->second;
    const WeightCodes codes = weight_codes_for(source, recipe, calibration, [&] { return text; });
    const auto model =
        make_model(source, {.recipe = recipe, .calibration = &calibration, .codes = &codes});
    ScoreResult scored = score_windows(*model, cache, windows, {.label = recipe.name});
    if (scored.partial) return;
    const AverageBits bits = average_bits(*model, options.context);
    tuning.evidence.push_back({recipe.name, bits.activations, bits.kv, std::move(scored.all)});
  }
  if (const TuneEvidence* preset = best_preset(tuning.evidence)) compare_with(*preset, tuning);
}

}  // namespace stamp
