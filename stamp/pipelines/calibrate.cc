#include "stamp/pipelines/calibrate.h"

#include <algorithm>
#include <memory>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/core/progress.h"
#include "stamp/nn/layers.h"
#include "stamp/pipelines/flatquant/learn.h"
#include "stamp/pipelines/smoothing.h"
#include "stamp/pipelines/smoothing_search.h"
#include "stamp/pipelines/windows.h"
#include "stamp/quant/feature_transform.h"
#include "stamp/quant/site_probe.h"

namespace stamp {
namespace {

// Statistics of all sites for one recipe, gathered from the plain model's activations.
class RecipeCollector {
 public:
  RecipeCollector(const ModelSource& source, const Recipe& recipe, const Calibration& smoothing)
      : recipe_(recipe), config_(source.config()) {
    const auto groups = linear_groups(config_);
    for (int64_t layer = 0; layer < config_.layers; ++layer) {
      Recipe own = recipe_for_layer(recipe, layer);
      own.center = "none";  // what is about to be measured
      own.exclude.clear();
      const LayerBasis basis = layer_basis(source, layer, own, &smoothing);
      const std::string prefix = fmt::format("layers.{}.", layer);
      // Stored weights make a reference model that works in this basis already.
      const bool plain = source.stored_recipe() == nullptr;
      for (size_t i = 0; i < groups.size(); ++i)
        maps_[prefix + groups[i].input] = plain ? basis.groups[i].input : basis.groups[i].online;
      maps_[prefix + "k"] = plain ? basis.key : FeatureMap{};
      maps_[prefix + "v"] = plain ? basis.value : FeatureMap{};
    }
  }
  bool needs_probe() const {
    const TokenSpec* specs[] = {&recipe_.activations, &recipe_.k, &recipe_.v};
    return std::any_of(std::begin(specs), std::end(specs),
                       [](const TokenSpec* spec) { return stamp::needs_probe(*spec); });
  }
  // Between the first pass, which probes, and the second, which collects.
  void end_probing() {
    for (const auto& [site, probe] : probes_) probed_[site] = probe.finish();
    probing_ = false;
  }

  void add_input(const std::string& site, ConstFloatView x, int64_t position) {
    const Recipe recipe = recipe_for_layer(recipe_, layer_of_site(site));
    const TokenSpec spec = spec_of_site(recipe, site);
    if (!wanted(spec)) return;
    Matrix copy = Matrix::copy_of(x);
    map_rows(copy.view(), maps_.at(site));
    add(site, spec, recipe.center, copy.view(), position);
  }

  void add_kv(const std::string& site, ConstFloatView x, int64_t position) {
    const Recipe recipe = recipe_for_layer(recipe_, layer_of_site(site));
    const KvSpec& spec = site.ends_with(".k") ? recipe.k : recipe.v;
    if (!wanted(spec)) return;
    Matrix copy = Matrix::copy_of(x);
    map_rows(copy.view(), maps_.at(site));
    rotate_heads(copy.view(), config_.head_dim, plan_kv_rotation(spec, config_.head_dim));
    const int64_t block = recipe.kv_block > 0 ? recipe.kv_block : x.rows;
    for (int64_t first = 0; first + block <= x.rows; first += block)
      add(site, spec, "none", copy.view().rows_from(first, block), position + first,
          config_.head_dim);
  }

  Calibration finish() const {
    Calibration result;
    for (const auto& [site, collector] : sites_) result[site] = collector.finish();
    return result;
  }

 private:
  bool wanted(const TokenSpec& spec) const {
    return spec.bits < 16 && (!probing_ || stamp::needs_probe(spec));
  }
  void add(const std::string& site, const TokenSpec& spec, const std::string& center, FloatView x,
           int64_t position, int64_t group = 0) {
    if (probing_)
      probes_.try_emplace(site, spec, center).first->second.add(x, position);
    else
      sites_.try_emplace(site, spec, center, probed_[site]).first->second.add(x, position, group);
  }

  const Recipe recipe_;
  const LlmConfig config_;
  std::map<std::string, FeatureMap> maps_;  // of linear inputs, K and V
  bool probing_ = true;
  std::map<std::string, SiteProbe> probes_;
  Calibration probed_;
  std::map<std::string, SiteCollector> sites_;
};

struct CalibrationObserver : Observer {
  void on_input(const std::string& site, ConstFloatView x, int64_t position) override {
    for_each([&](RecipeCollector& collector) { collector.add_input(site, x, position); });
  }
  void on_kv(const std::string& site, ConstFloatView x, int64_t position) override {
    for_each([&](RecipeCollector& collector) { collector.add_kv(site, x, position); });
  }
  // Collectors are independent of each other and run side by side.
  template <class Body>
  void for_each(Body&& body) {
    parallel_for(static_cast<int64_t>(collectors.size()),
                 [&](int64_t i) { body(collectors[static_cast<size_t>(i)]); });
  }
  std::vector<RecipeCollector> collectors;
};

void run_windows(const Model& model, const std::vector<std::vector<int32_t>>& windows,
                 Observer& observer) {
  ForwardContext context{.observer = &observer};
  const auto length = static_cast<int64_t>(windows.front().size());
  Progress progress("calibrate", static_cast<int64_t>(windows.size()) * length, "tokens");
  for (const auto& window : windows) {
    if (interrupted()) throw_runtime("calibrate: interrupted");
    KvCache cache = model.make_cache(length);
    model.forward(window, cache, context);
    progress.advance(length);
  }
}

}  // namespace

// What the statistics depend on: recipes that agree here share one collector.
std::string statistics_key(const Recipe& recipe) {
  Recipe key = recipe;
  key.name.clear();
  if (!key.needs_learning() && key.feature != "svdquant") key.weights = {};
  key.lm_head = {};
  key.embedding_bits = key.attention_bits = 16;
  key.exclude.clear();
  if (key.center != "auto") key.sites.clear();
  const auto reduce = [&](TokenSpec& spec, bool centered) {
    const bool used = spec.plan.kind == "waterfill" || needs_probe(spec) || centered;
    if (key.layers.empty() && (spec.bits == 16 || !used)) return void(spec = {});
    if (spec.bits == 16) return;
    if (key.center != "auto" || !centered) spec.bits = 8;
    spec.quantizer.clip = 1.0;
    if (key.center != "auto" || !centered) spec.plan.min_bits = 2;
    spec.plan.average_bits = 0;
  };
  reduce(key.activations, key.center != "none");
  reduce(key.k, false);
  reduce(key.v, false);
  for (KvSpec* spec : {&key.k, &key.v})
    if (key.layers.empty() && spec->bits == 16) *spec = {};
  return to_json(key).dump();
}

namespace {

// One pass of the text through the reference model.
void observe_text(std::shared_ptr<const ModelSource> source, const CalibrateOptions& options,
                  Observer& observer) {
  const std::unique_ptr<Model> model = make_model(source, {.recipe = source->reference_recipe()});
  const auto windows =
      make_windows(options.ids, options.bos_id,
                   {.context = options.context, .max_windows = options.max_windows});
  run_windows(*model, windows, observer);
}

// Statistics of rows, added to what is known of the feature transform already.
void add_ranges(std::shared_ptr<const ModelSource> source, const std::vector<Recipe>& recipes,
                const CalibrateOptions& options, std::map<std::string, Calibration>& result) {
  CalibrationObserver observer;
  std::map<std::string, size_t> index;
  for (const Recipe& recipe : recipes) {
    if (!recipe.needs_ranges()) continue;
    const auto [it, added] = index.try_emplace(statistics_key(recipe), index.size());
    if (added) observer.collectors.emplace_back(*source, recipe, result[recipe.name]);
  }
  if (index.empty()) return;
  if (std::any_of(observer.collectors.begin(), observer.collectors.end(),
                  [](const RecipeCollector& collector) { return collector.needs_probe(); }))
    observe_text(source, options, observer);
  for (RecipeCollector& collector : observer.collectors) collector.end_probing();
  observe_text(source, options, observer);
  std::vector<Calibration> finished;
  for (const RecipeCollector& collector : observer.collectors)
    finished.push_back(collector.finish());
  for (const Recipe& recipe : recipes) {
    if (!recipe.needs_ranges()) continue;
    Calibration& own = result[recipe.name];
    for (const auto& [site, statistics] : finished[index.at(statistics_key(recipe))]) {
      SiteStatistics& merged = own[site];
      merged.mean = statistics.mean;
      merged.range2 = statistics.range2;
      merged.covariance = statistics.covariance;
      merged.skip_tokens = statistics.skip_tokens;
      merged.center = statistics.center;
    }
  }
}

// What the feature transform of a recipe is made of; `peaks` are gathered when first needed.
Calibration feature_statistics(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                               const CalibrateOptions& options, PeakObserver& peaks) {
  if (recipe.feature == "flatquant") return flatquant::learn(source, recipe, options);
  if (recipe.feature == "svdquant") return search_smoothing(source, recipe, options);
  if (peaks.peaks.empty()) observe_text(source, options, peaks);
  return smoothing_factors(*source, recipe, peaks);
}

}  // namespace

std::map<std::string, Calibration> calibrate(std::shared_ptr<const ModelSource> source,
                                             const std::vector<Recipe>& recipes,
                                             const CalibrateOptions& options) {
  std::map<std::string, Calibration> result;
  PeakObserver peaks;
  std::map<std::string, Calibration> learned;  // or searched: takes minutes, so once
  for (const Recipe& recipe : recipes) {
    if (!recipe.needs_smoothing() && !recipe.needs_learning()) continue;
    const auto [it, added] = learned.try_emplace(flatquant::learning_key(recipe));
    if (added) it->second = feature_statistics(source, recipe, options, peaks);
    result[recipe.name] = it->second;
  }
  add_ranges(source, recipes, options, result);
  return result;
}

Calibration calibration_for(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                            const std::function<CalibrateOptions()>& text) {
  if (!recipe.needs_calibration()) return {};
  const Recipe* stored = source->stored_recipe();
  const Calibration& kept = source->stored_calibration();
  if (stored != nullptr && statistics_key(*stored) == statistics_key(recipe)) return kept;
  if (stored == nullptr) return calibrate(source, {recipe}, text()).at(recipe.name);
  std::map<std::string, Calibration> result;  // what stored weights were made for stays
  for (const auto& [site, statistics] : kept) {
    SiteStatistics& own = result[recipe.name][site] = statistics;
    own.mean.clear();
    own.range2.clear();
    own.covariance.clear();
    own.skip_tokens = 0;
    own.center = false;
  }
  if (recipe.needs_ranges()) add_ranges(source, {recipe}, text(), result);
  Calibration& own = result[recipe.name];
  if (recipe.center == "none") return own;
  for (auto& [site, statistics] : own) {
    const auto found = kept.find(site);
    statistics.center = found != kept.end() && found->second.center;
    if (statistics.center) statistics.mean = found->second.mean;
  }
  return own;
}

}  // namespace stamp
