#include "stamp/pipelines/sensitivity.h"

#include <chrono>
#include <cmath>
#include <limits>

#include "stamp/core/communicator.h"
#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/core/version.h"
#include "stamp/nn/site_statistics.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/quantize_layers.h"
#include "stamp/pipelines/scoring.h"
#include "stamp/pipelines/windows.h"

namespace stamp {
namespace {

constexpr int64_t kReferenceBudget = int64_t{1} << 30;

/// Data bits per element of the tensor.
double bits_of(const IsolatedRecipe& isolated, const Calibration& calibration, int64_t tokens) {
  if (isolated.kind.ends_with("weights")) return isolated.recipe.weights.bits;
  const std::string& site = isolated.recipe.name;
  TokenSpec spec = spec_of_site(isolated.recipe, site);
  if (isolated.kind == "k" || isolated.kind == "v")
    spec.sequence.block_tokens = isolated.recipe.kv_block;
  return make_token_quantizer(spec, site, &calibration).count_bits(tokens, 1).average();
}

SensitivityRow row_of(const IsolatedRecipe& isolated, const Scores& scores) {
  SensitivityRow row{.layer = isolated.layer, .kind = isolated.kind, .kl = scores.kl_mean};
  std::vector<double> kl;
  for (const WindowScore& window : scores.windows) kl.push_back(window.kl);
  const Interval interval = bootstrap_mean(kl);
  row.kl_low = interval.low, row.kl_high = interval.high;
  row.nll_difference = std::log(scores.perplexity / scores.perplexity_reference);
  return row;
}

}  // namespace

Sensitivity measure_sensitivity(const SensitivityOptions& options) {
  check(options.recipe);
  const auto start = std::chrono::steady_clock::now();
  Sensitivity result{.options = options};
  const auto source = ModelSource::open(options.model);
  check_layers(options.recipe, source->config().layers);
  const std::vector<IsolatedRecipe> parts = isolate(options.recipe, source->config());
  if (parts.empty())
    throw_argument("sensitivity: the recipe '{}' quantizes nothing in the layers",
                   options.recipe.name);
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  const auto windows = make_windows(tokenize_file(tokenizer, options.text), tokenizer.bos_id(),
                                    {.context = options.context,
                                     .max_windows = options.max_windows,
                                     .bos_every_window = options.bos_every_window});
  const auto text = [&] {
    return CalibrateOptions{
        .ids = calibration_ids(tokenizer, options.model, options.calibration, options.text),
        .bos_id = options.bos_every_window ? tokenizer.bos_id() : -1,
        .context = options.context,
        .cache = options.cache};
  };
  const Calibration calibration = calibration_for(source, options.recipe, text);
  const WeightCodes codes = weight_codes_for(source, options.recipe, calibration, text);
  const auto reference = make_model(source, {.recipe = source->reference_recipe()});
  ReferenceCache cache(*reference, Compute::kF32, kReferenceBudget);
  const auto score = [&](const Recipe& recipe, const std::string& label) {
    const auto model = make_model(source, {.recipe = recipe,
                                           .calibration = &calibration,
                                           .codes = recipe.weights.bits < 16 ? &codes : nullptr});
    return score_windows(
        *model, cache, windows,
        {.label = label, .journal = options.cache, .files = {options.model, options.calibration}});
  };
  for (size_t i = 0; i < parts.size() && !result.partial; ++i) {
    const ScoreResult scored =
        score(parts[i].recipe, fmt::format("{}/{} {}", i + 1, parts.size(), parts[i].recipe.name));
    result.partial = scored.partial || job_interrupted();
    if (scored.partial) break;  // over fewer windows it would not be comparable
    result.rows.push_back(row_of(parts[i], scored.all));
    result.rows.back().bits = bits_of(parts[i], calibration, options.context);
    result.kl_sum += scored.all.kl_mean;
  }
  result.kl_everything = std::numeric_limits<double>::quiet_NaN();
  if (!result.partial) result.kl_everything = score(options.recipe, "everything").all.kl_mean;
  result.windows = static_cast<int64_t>(windows.size());
  result.machine = machine_description();
  result.model_name = std::filesystem::weakly_canonical(options.model).filename().string();
  result.text_name = options.text.filename().string();
  result.commit = build_commit();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace stamp
