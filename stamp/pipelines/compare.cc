#include "stamp/pipelines/compare.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "stamp/core/communicator.h"
#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/core/process.h"
#include "stamp/core/version.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/quantize_layers.h"
#include "stamp/pipelines/scoring.h"
#include "stamp/pipelines/windows.h"

namespace stamp {
namespace {

constexpr int64_t kReferenceBudget = int64_t{1} << 30;
const Calibration kNoCalibration;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// What a row is measured against. In the grid: the row without L but with the same protected
// tokens, bits and feature; in a list of recipes the first.
const CompareRow* baseline_of(const CompareOptions& options, const std::vector<CompareRow>& rows,
                              const CompareRow& row) {
  if (!options.recipes.empty()) return &rows.front();
  for (const CompareRow& other : rows)
    if (other.sequence == "none" && other.plan == "two_level" && other.feature == row.feature &&
        other.weight_bits == row.weight_bits && other.activation_bits == row.activation_bits &&
        other.kv_bits == row.kv_bits)
      return &other;
  return nullptr;
}

struct PairedDifference {
  double mean = 0;
  Interval interval{0, 0};
};

PairedDifference paired(const Scores& a, const Scores& b, double WindowScore::*field) {
  std::vector<double> differences;
  for (size_t i = 0; i < std::min(a.windows.size(), b.windows.size()); ++i)
    differences.push_back(a.windows[i].*field - b.windows[i].*field);
  PairedDifference result;
  for (const double d : differences) result.mean += d / static_cast<double>(differences.size());
  result.interval = bootstrap_mean(differences);
  return result;
}

void compare_with_baseline(CompareRow& row, const CompareRow* baseline) {
  row.gap_closed_perplexity = row.gap_closed_kl = row.causal_gap_closed_kl = kNan;
  if (!baseline || baseline == &row) return;
  const Scores &s = row.scores, &b = baseline->scores;
  row.gap_closed_perplexity =
      (b.perplexity - s.perplexity) / (b.perplexity - b.perplexity_reference);
  row.gap_closed_kl = (b.kl_mean - s.kl_mean) / b.kl_mean;
  if (row.causal.tokens > 0)
    row.causal_gap_closed_kl =
        (baseline->causal.kl_mean - row.causal.kl_mean) / baseline->causal.kl_mean;
  const auto nll = paired(s, b, &WindowScore::nll), kl = paired(s, b, &WindowScore::kl);
  row.nll_difference = nll.mean, row.nll_low = nll.interval.low, row.nll_high = nll.interval.high;
  row.kl_difference = kl.mean, row.kl_low = kl.interval.low, row.kl_high = kl.interval.high;
}

// The calibration text, read when it is asked for.
std::function<CalibrateOptions()> calibration_text(const Tokenizer& tokenizer,
                                                   const CompareOptions& options) {
  return [&tokenizer, &options] {
    return CalibrateOptions{
        .ids = calibration_ids(tokenizer, options.model, options.calibration, options.text),
        .bos_id = options.bos_every_window ? tokenizer.bos_id() : -1,
        .context = options.context,
        .cache = options.cache};
  };
}

std::map<std::string, Calibration> calibrate_rows(std::shared_ptr<const ModelSource> source,
                                                  const std::vector<CompareRow>& rows,
                                                  const std::function<CalibrateOptions()>& text) {
  std::vector<Recipe> recipes;
  for (const CompareRow& row : rows)
    if (row.recipe.needs_calibration()) recipes.push_back(row.recipe);
  if (recipes.empty()) return {};
  return calibrate(source, recipes, text());
}

// Codes of the row before, where this row's weights are the same.
struct LastCodes {
  std::string key;
  WeightCodes codes;
};

// Longest run of tokens that one row mixes, over the recipes whose runs end within a window.
int64_t common_causal_run(const std::vector<CompareRow>& rows, int64_t context) {
  int64_t run = 1;
  for (const CompareRow& row : rows)
    if (const int64_t own = transform_run(row.recipe, context); own < context)
      run = std::max(run, own);
  return run;
}

}  // namespace

Comparison compare(const CompareOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  Comparison result{.options = options};
  std::vector<CompareRow> rows = options.paper             ? paper_grid(options)
                                 : options.recipes.empty() ? compare_grid(options)
                                                           : compare_list(options);
  const auto source = ModelSource::open(options.model);
  const Tokenizer tokenizer = Tokenizer::load(options.model);
  const auto windows = make_windows(tokenize_file(tokenizer, options.text), tokenizer.bos_id(),
                                    {.context = options.context,
                                     .max_windows = options.max_windows,
                                     .bos_every_window = options.bos_every_window});
  const auto text = calibration_text(tokenizer, options);
  const auto calibrations = calibrate_rows(source, rows, text);
  const Json settings = {{"execution", static_cast<int>(options.execution)},
                         {"causal_run", common_causal_run(rows, options.context)}};
  LastCodes weights;
  const auto reference = make_model(source);
  result.causal_run = common_causal_run(rows, options.context);
  ReferenceCache cache(*reference, Compute::kF32, kReferenceBudget);
  for (size_t i = 0; i < rows.size() && !result.partial; ++i) {
    if (job_interrupted()) {
      result.partial = true;
      break;
    }
    CompareRow row = std::move(rows[i]);
    const auto found = calibrations.find(row.recipe.name);
    const Calibration& calibration = found == calibrations.end() ? kNoCalibration : found->second;
    if (weights.key != weights_key(row.recipe))
      weights = {weights_key(row.recipe), weight_codes_for(source, row.recipe, calibration, text)};
    const auto model = make_model(source, {.recipe = row.recipe,
                                           .calibration = &calibration,
                                           .codes = &weights.codes,
                                           .execution = options.execution});
    ScoreResult scored =
        score_windows(*model, cache, windows,
                      {.causal_run = result.causal_run,
                       .sqnr_windows = 1,
                       .label = fmt::format("{}/{} {}", i + 1, rows.size(), row.recipe.name),
                       .journal = options.cache,
                       .files = {options.model, options.calibration},
                       .settings = settings});
    if (scored.partial) {
      result.partial = true;
      break;  // a row over fewer windows would not be comparable
    }
    row.scores = std::move(scored.all);
    row.linears = std::move(scored.linears);
    if (result.causal_run % transform_run(row.recipe, options.context) == 0)
      row.causal = std::move(scored.causal);
    row.bits = average_bits(*model, options.context);
    row.simulated = model->simulated();
    for (std::string& note : model->notes())
      if (std::find(result.notes.begin(), result.notes.end(), note) == result.notes.end())
        result.notes.push_back(std::move(note));
    result.rows.push_back(std::move(row));
  }
  if (result.rows.empty()) throw_runtime("compare: interrupted before the first recipe ended");
  for (CompareRow& row : result.rows)
    compare_with_baseline(row, baseline_of(options, result.rows, row));
  if (options.recipes.empty())
    result.picture =
        draw_site(source, options.report_site, options.sequences, windows, options.high_tokens);
  result.perplexity_reference = result.rows.front().scores.perplexity_reference;
  result.windows = static_cast<int64_t>(windows.size());
  result.machine = machine_description();
  result.model_name = std::filesystem::weakly_canonical(options.model).filename().string();
  result.text_name = options.text.filename().string();
  result.commit = build_commit();
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.peak_rss_bytes = peak_rss_bytes();
  return result;
}

}  // namespace stamp
