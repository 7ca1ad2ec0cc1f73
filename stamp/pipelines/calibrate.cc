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

namespace stamp {
namespace {

// The layer of a site: 3 of "layers.3.attn_in".
int64_t layer_of(const std::string& site) { return std::stoll(site.substr(site.find('.') + 1)); }

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

  void add_input(const std::string& site, ConstFloatView x, int64_t position) {
    const Recipe recipe = recipe_for_layer(recipe_, layer_of(site));
    if (recipe.activations.bits == 16) return;
    Matrix copy = Matrix::copy_of(x);
    map_rows(copy.view(), maps_.at(site));
    collector(site, recipe.activations, recipe.center).add(copy.view(), position);
  }

  void add_kv(const std::string& site, ConstFloatView x, int64_t position) {
    const Recipe recipe = recipe_for_layer(recipe_, layer_of(site));
    const KvSpec& spec = site.ends_with(".k") ? recipe.k : recipe.v;
    if (spec.bits == 16) return;
    Matrix copy = Matrix::copy_of(x);
    map_rows(copy.view(), maps_.at(site));
    rotate_heads(copy.view(), config_.head_dim, plan_kv_rotation(spec, config_.head_dim));
    SiteCollector& target = collector(site, spec, "none");
    const int64_t block = recipe.kv_block > 0 ? recipe.kv_block : x.rows;
    for (int64_t first = 0; first + block <= x.rows; first += block)
      target.add(copy.view().rows_from(first, block), position + first, config_.head_dim);
  }

  Calibration finish() const {
    Calibration result;
    for (const auto& [site, collector] : sites_) result[site] = collector.finish();
    return result;
  }

 private:
  SiteCollector& collector(const std::string& site, const TokenSpec& spec,
                           const std::string& center) {
    return sites_.try_emplace(site, spec, center).first->second;
  }

  const Recipe recipe_;
  const LlmConfig config_;
  std::map<std::string, FeatureMap> maps_;  // of linear inputs, K and V
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

// What the statistics depend on: recipes that agree here share one collector.
std::string statistics_key(const Recipe& recipe) {
  Recipe key = recipe;
  key.name.clear();
  if (!key.needs_learning() && key.feature != "svdquant") key.weights = {};
  key.lm_head = {};
  key.embedding_bits = key.attention_bits = 16;
  key.exclude.clear();
  for (TokenSpec* spec : std::initializer_list<TokenSpec*>{&key.activations, &key.k, &key.v}) {
    if (spec->bits == 16) continue;
    if (key.center != "auto") spec->bits = 8;
    spec->quantizer.clip = 1.0;
    spec->plan.average_bits = 0;
  }
  return to_json(key).dump();
}

// One pass of the text through the reference model.
void observe_text(std::shared_ptr<const ModelSource> source, const CalibrateOptions& options,
                  Observer& observer) {
  const std::unique_ptr<Model> model = make_model(source, {.recipe = source->reference_recipe()});
  const auto windows =
      make_windows(options.ids, options.bos_id,
                   {.context = options.context, .max_windows = options.max_windows});
  ForwardContext context{.observer = &observer};
  Progress progress("calibrate", static_cast<int64_t>(windows.size()) * options.context, "tokens");
  for (const auto& window : windows) {
    if (interrupted()) throw_runtime("calibrate: interrupted");
    KvCache cache = model->make_cache(options.context);
    model->forward(window, cache, context);
    progress.advance(options.context);
  }
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
      merged.center = statistics.center;
    }
  }
}

}  // namespace

namespace {

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
