#include "stamp/pipelines/tune.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/core/cpu_features.h"
#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/core/rng.h"
#include "stamp/core/version.h"
#include "stamp/models/weights.h"
#include "stamp/pipelines/sensitivity.h"
#include "stamp/pipelines/tune_evidence.h"
#include "stamp/pipelines/tune_moves.h"
#include "stamp/pipelines/tune_scorer.h"
#include "stamp/quant/bit_budget.h"
#include "stamp/quant/bit_plan.h"
#include "stamp/quant/site_probe.h"

namespace stamp {
namespace {

constexpr int64_t kGlance = 2, kLook = 4;  // windows: of a first impression, of a second
constexpr double kSlack = 1e-6;            // of a budget, for rounding

class Search {
 public:
  explicit Search(Tuning& tuning) : tuning_(tuning), options_(tuning.options), scorer_(options_) {}
  void run();

 private:
  bool affordable(const Recipe& recipe, double average_bits) {
    return scorer_.activation_bits(recipe) <= average_bits + kSlack;
  }
  void start_with(const Recipe& recipe);
  bool offer(const std::string& change, Recipe recipe, double average_bits);
  void halve();
  void try_moves();
  void share(const std::string& what, const std::vector<std::string>& kinds, double average_bits);
  std::vector<BudgetSite> budget_sites(const std::vector<IsolatedRecipe>& parts);
  void shrink();
  void keep_best() const;

  Tuning& tuning_;
  const TuneOptions& options_;
  TuneScorer scorer_;
};

/// The best so far survives whatever happens next.
void Search::keep_best() const {
  if (!options_.out.empty())
    write_file_atomically(options_.out, to_json(tuning_.best).dump(2) + "\n");
}

void Search::start_with(const Recipe& recipe) {
  for (const int64_t windows : {scorer_.windows(), kLook, kGlance}) {
    tuning_.kl = scorer_.kl(recipe, windows);
    if (!std::isfinite(tuning_.kl)) continue;
    tuning_.steps.push_back({recipe.name, tuning_.kl, windows});
    tuning_.best = recipe;
    tuning_.best.name = fmt::format("tuned-{}", options_.average_bits);
    return keep_best();
  }
  throw_runtime("tune: interrupted before the first candidate was measured");
}

/// Accepts `recipe` when it is better on few windows, then on all.
bool Search::offer(const std::string& change, Recipe recipe, double average_bits) {
  recipe.name = tuning_.best.name;
  for (const int64_t windows : {kLook, scorer_.windows()})
    if (!(scorer_.kl(recipe, windows) < scorer_.kl(tuning_.best, windows))) return false;
  if (!affordable(recipe, average_bits)) return false;
  tuning_.best = std::move(recipe);
  tuning_.kl = scorer_.kl(tuning_.best, scorer_.windows());
  tuning_.steps.push_back({change, tuning_.kl, scorer_.windows()});
  keep_best();
  return true;
}

/// A third of the candidates goes on to more windows.
void Search::halve() {
  std::vector<Recipe> left = tune_candidates(options_);
  scorer_.prepare(left);
  std::erase_if(left,
                [&](const Recipe& recipe) { return !affordable(recipe, options_.average_bits); });
  if (left.empty())
    throw_argument("tune: no candidate fits into {} bits on average", options_.average_bits);
  for (const int64_t windows : {kGlance, kLook, scorer_.windows()}) {
    std::vector<std::pair<double, size_t>> order;
    for (size_t i = 0; i < left.size(); ++i) order.emplace_back(scorer_.kl(left[i], windows), i);
    std::stable_sort(order.begin(), order.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    order.resize((order.size() + 2) / 3);
    std::vector<Recipe> kept;
    for (const auto& [kl, i] : order) kept.push_back(left[i]);
    left = std::move(kept);
  }
  start_with(left.front());
}

/// Every group once, in an order that follows the seed. The best of a group's alternatives on a few
/// windows is offered.
void Search::try_moves() {
  const size_t count = tune_moves(tuning_.best).size();
  std::vector<size_t> order(count);
  for (size_t i = 0; i < count; ++i) order[i] = i;
  Rng rng(options_.seed);
  if (options_.seed != 0)
    for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.below(i)]);
  for (const size_t which : order) {
    const auto groups = tune_moves(tuning_.best);
    if (which >= groups.size() || scorer_.stopped()) continue;
    std::vector<Recipe> recipes;
    for (const TuneMove& move : groups[which]) {
      recipes.push_back(tuning_.best);
      move.apply(recipes.back());
      recipes.back().name = move.name;
    }
    scorer_.prepare(recipes);
    size_t best = recipes.size();
    double best_kl = scorer_.kl(tuning_.best, kGlance);
    for (size_t i = 0; i < recipes.size(); ++i) {
      const double kl = scorer_.kl(recipes[i], kGlance);
      if (!(kl < best_kl)) continue;
      best_kl = kl;
      best = i;
    }
    if (best < recipes.size()) offer(recipes[best].name, recipes[best], options_.average_bits);
  }
}

std::vector<BudgetSite> Search::budget_sites(const std::vector<IsolatedRecipe>& parts) {
  const Calibration& calibration = scorer_.calibration(tuning_.best);
  const std::vector<LinearGroup> groups = linear_groups(scorer_.config());
  std::vector<BudgetSite> sites;
  for (const IsolatedRecipe& part : parts) {
    const SiteStatistics& statistics = calibration.at(part.recipe.name);
    BudgetSite site{.spec = with_sinks(spec_of_site(part.recipe, part.recipe.name), statistics),
                    .range2 = statistics.range2,
                    .cols = 1};
    for (const LinearGroup& group : groups)
      if (group.input == part.kind) site.cols = group.weights.front().in_dim;
    const auto tokens = static_cast<int64_t>(site.range2.size());
    const int64_t sinks = site.cols > 1 ? std::max(0, site.spec.sequence.skip_tokens) : 0;
    if (site.cols == 1) site.spec.sequence.skip_tokens = 0;  // most blocks have no sinks
    const double error =
        expected_error(row_bits(site.spec, tokens, sinks, site.range2), site.range2);
    const double kl = scorer_.kl(part.recipe, kGlance, &calibration);
    site.sensitivity = error > 0 && std::isfinite(kl) ? kl / error : 0;
    sites.push_back(std::move(site));
  }
  return sites;
}

/// Shares one budget among the tensors of these kinds by what each does to the model.
void Search::share(const std::string& what, const std::vector<std::string>& kinds,
                   double average_bits) {
  std::vector<IsolatedRecipe> parts = isolate(tuning_.best, scorer_.config());
  std::erase_if(parts, [&](const IsolatedRecipe& part) {
    return std::find(kinds.begin(), kinds.end(), part.kind) == kinds.end() ||
           spec_of_site(part.recipe, part.recipe.name).plan.kind != "waterfill";
  });
  if (parts.empty() || average_bits <= 0 || scorer_.stopped()) return;
  std::vector<BudgetSite> sites = budget_sites(parts);
  if (scorer_.stopped()) return;
  // The model is only nearly quadratic: half of the way to its optimum is tried, too.
  for (const double power : {1.0, 0.5}) {
    std::vector<BudgetSite> tempered = sites;
    for (BudgetSite& site : tempered) {
      const double error = expected_error(
          row_bits(site.spec, static_cast<int64_t>(site.range2.size()), 0, site.range2),
          site.range2);
      site.sensitivity *= std::pow(std::max(1e-30, site.sensitivity * error), power - 1);
    }
    const std::vector<double> averages = share_bits(tempered, average_bits);
    Recipe recipe = tuning_.best;
    for (size_t i = 0; i < parts.size(); ++i) {
      std::erase_if(recipe.sites,
                    [&](const SiteSpec& own) { return own.site == parts[i].recipe.name; });
      recipe.sites.push_back({.site = parts[i].recipe.name, .average_bits = averages[i]});
    }
    offer(fmt::format("{} share a budget by sensitivity^{}", what, power), std::move(recipe),
          options_.average_bits);
  }
}

/// The smallest budget, in sixteenths of a bit, that keeps to max_kl.
void Search::shrink() {
  const Recipe model = tuning_.best;
  int low = 2 * 16 + 2, high = 8 * 16 + 1;  // high: nothing is good enough
  Recipe found;
  while (low < high && !scorer_.stopped()) {
    const int middle = (low + high) / 2;
    Recipe recipe = model;
    set_average_bits(recipe, middle / 16.0, options_.context);
    const double kl = scorer_.kl(recipe, scorer_.windows());
    if (kl <= options_.max_kl) {
      high = middle;
      found = recipe;
      tuning_.best = recipe;
      tuning_.kl = kl;
      tuning_.steps.push_back({fmt::format("{} bits", middle / 16.0), kl, scorer_.windows()});
      keep_best();
    } else {
      low = middle + 1;
    }
  }
  if (found.activations.bits == 16 && !scorer_.stopped())
    throw_runtime(
        "tune: no width of activations keeps to a KL of {}; the rest of the recipe costs {}",
        options_.max_kl, scorer_.kl(model, scorer_.windows()));
}

void Search::run() {
  halve();
  const std::vector<std::string> inputs = {"attn_in", "o_in", "mlp_in", "down_in"};
  try {
    try_moves();
    share("linear inputs", inputs, options_.average_bits);
    share("K", {"k"}, tuning_.best.k.plan.average_bits);
    share("V", {"v"}, tuning_.best.v.plan.average_bits);
    try_moves();
    if (options_.max_kl > 0) shrink();
  } catch (const std::runtime_error&) {  // a pass over the statistics ended early
    if (!interrupted()) throw;
  }
  tuning_.partial = scorer_.stopped();
  tuning_.evaluations = scorer_.evaluations;
  tuning_.reused = scorer_.reused;
  tuning_.activation_bits = scorer_.activation_bits(tuning_.best);
  keep_best();
}

}  // namespace

Tuning tune(const TuneOptions& options) {
  check(options.start);
  if (options.start.activations.bits == 16)
    throw_argument("tune: the recipe '{}' does not quantize activations", options.start.name);
  const auto start = std::chrono::steady_clock::now();
  Tuning tuning{.options = options};
  Search(tuning).run();
  if (!options.text.empty()) add_evidence(tuning);
  tuning.machine = machine_description();
  tuning.model_name = std::filesystem::weakly_canonical(options.model).filename().string();
  tuning.commit = build_commit();
  tuning.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return tuning;
}

}  // namespace stamp
