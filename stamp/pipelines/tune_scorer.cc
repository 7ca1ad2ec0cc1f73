#include "stamp/pipelines/tune_scorer.h"

#include <fmt/ranges.h>

#include <limits>
#include <numeric>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/models/weights.h"
#include "stamp/nn/site_statistics.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/quantize_layers.h"
#include "stamp/pipelines/windows.h"

namespace stamp {
namespace {

constexpr int64_t kReferenceBudget = int64_t{1} << 30;
constexpr int64_t kStatisticsWindows = 12;
constexpr int64_t kLargestState = int64_t{1} << 26;
constexpr int kSchema = 1;

/// The recipe without its name.
std::string key_of(Recipe recipe) {
  recipe.name = "candidate";
  return to_json(recipe).dump();
}

}  // namespace

TuneScorer::TuneScorer(const TuneOptions& options)
    : options_(options),
      start_(std::chrono::steady_clock::now()),
      source_(ModelSource::open(options.model)),
      tokenizer_(Tokenizer::load(options.model)) {
  const std::vector<int32_t> ids =
      calibration_ids(tokenizer_, options.model, options.calibration, options.text);
  auto all = make_windows(ids, tokenizer_.bos_id(),
                          {.context = options.context, .bos_every_window = true});
  const auto count = static_cast<int64_t>(all.size());
  const int64_t searched = std::min(options.search_windows, count / 2);
  if (searched < 1)
    throw_argument(
        "tune: the calibration text has {} windows of {} tokens; statistics and search need one "
        "each",
        count, options.context);
  windows_.assign(all.end() - searched, all.end());
  const int64_t used = std::min(kStatisticsWindows, count - searched);
  statistics_ids_.assign(ids.begin(), ids.begin() + used * options.context);
  reference_ = make_model(source_, {.recipe = source_->reference_recipe()});
  cache_ = std::make_unique<ReferenceCache>(*reference_, Compute::kF32, kReferenceBudget);
  load_state();
}

std::string TuneScorer::search_name() const {
  return fmt::format("{} with {} layers, {} windows of {} tokens from id {}",
                     source_->config().architecture, source_->config().layers, windows_.size(),
                     options_.context,
                     fmt::join(std::vector(windows_[0].begin(), windows_[0].begin() + 4), " "));
}

void TuneScorer::load_state() {
  std::error_code ignored;
  if (options_.state.empty() || !std::filesystem::exists(options_.state, ignored)) return;
  const Json json = read_json(options_.state, kLargestState);
  const auto bad = [&](const std::string& what) {
    throw_argument("tune: {}: {}; name another file, or remove it", options_.state.string(), what);
  };
  if (!json.is_object() || !json.contains("schema") || json["schema"] != kSchema ||
      !json.contains("scores") || !json["scores"].is_object())
    bad("is not the state of a search");
  if (!json.contains("search") || json["search"] != search_name())
    bad("belongs to a search over other windows");
  for (const auto& [key, scores] : json["scores"].items()) {
    if (!scores.is_array() || scores.size() > windows_.size()) bad("has scores that do not fit");
    for (const Json& score : scores) {
      if (!score.is_number()) bad("has a score that is no number");
      known_[key].push_back(score.get<double>());
    }
  }
}

void TuneScorer::save_state() const {
  if (options_.state.empty()) return;
  Json json = {{"schema", kSchema}, {"search", search_name()}, {"scores", known_}};
  write_file_atomically(options_.state, json.dump() + "\n");
}

bool TuneScorer::stopped() const {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  const bool late = options_.seconds > 0 && elapsed.count() > options_.seconds;
  return interrupted() || (late && evaluations > 0);  // one candidate is measured whatever it takes
}

CalibrateOptions TuneScorer::statistics_text() const {
  return {.ids = statistics_ids_,
          .bos_id = options_.bos_every_window ? tokenizer_.bos_id() : -1,
          .context = options_.context};
}

void TuneScorer::prepare(const std::vector<Recipe>& recipes) {
  std::vector<Recipe> wanted;
  for (Recipe recipe : recipes) {
    const std::string key = statistics_key(recipe);
    if (!recipe.needs_calibration() || calibrations_.contains(key)) continue;
    recipe.name = key;
    wanted.push_back(std::move(recipe));
  }
  if (wanted.empty()) return;
  auto found = calibrate(source_, wanted, statistics_text());
  calibrations_.merge(found);
}

const Calibration& TuneScorer::calibration(const Recipe& recipe) {
  static const Calibration kNone;
  if (!recipe.needs_calibration()) return kNone;
  prepare({recipe});
  return calibrations_.at(statistics_key(recipe));
}

const Model& TuneScorer::model_of(const Recipe& recipe, const Calibration* calibration) {
  const std::string key = key_of(recipe);
  if (built_ == key) return *model_;
  if (calibration == nullptr) calibration = &this->calibration(recipe);
  model_.reset();
  built_.clear();
  if (recipe.weights.bits < 16 && codes_key_ != weights_key(recipe)) {
    codes_ = weight_codes_for(source_, recipe, *calibration, [&] { return statistics_text(); });
    codes_key_ = weights_key(recipe);
  }
  model_ = make_model(source_, {.recipe = recipe,
                                .calibration = calibration,
                                .codes = recipe.weights.bits < 16 ? &codes_ : nullptr});
  built_ = key;
  return *model_;
}

double TuneScorer::activation_bits(const Recipe& recipe) {
  const Calibration& statistics = calibration(recipe);
  BitCount bits;
  for (int64_t layer = 0; layer < config().layers; ++layer)
    for (const LinearGroup& group : linear_groups(config())) {
      const std::string site = fmt::format("layers.{}.{}", layer, group.input);
      const TokenSpec spec = spec_of_site(recipe_for_layer(recipe, layer), site);
      bits.add(make_token_quantizer(spec, site, &statistics)
                   .count_bits(options_.context, group.weights.front().in_dim));
    }
  return bits.average();
}

/// Extends `known` to `windows`; false when interrupted before.
bool TuneScorer::score(const Recipe& recipe, int64_t windows, const Calibration* calibration,
                       std::vector<double>& known) {
  ScoreResult scored;
  try {
    scored = score_windows(model_of(recipe, calibration), *cache_, windows_,
                           {.label = recipe.name,
                            .first_window = static_cast<int64_t>(known.size()),
                            .last_window = windows});
  } catch (const std::runtime_error&) {  // before the first window ended
    if (!interrupted()) throw;
    return false;
  }
  for (const WindowScore& window : scored.all.windows) known.push_back(window.kl);
  evaluations += static_cast<int64_t>(scored.all.windows.size());
  save_state();
  return !scored.partial;
}

double TuneScorer::kl(const Recipe& recipe, int64_t windows, const Calibration* calibration) {
  windows = std::min(windows, this->windows());
  std::vector<double>& known = known_[key_of(recipe)];
  const auto have = static_cast<int64_t>(known.size());
  reused += std::min(have, windows);
  if (have < windows && (stopped() || !score(recipe, windows, calibration, known)))
    return std::numeric_limits<double>::infinity();
  return std::accumulate(known.begin(), known.begin() + windows, 0.0) /
         static_cast<double>(windows);
}

}  // namespace stamp
