#include "stamp/pipelines/calibrate.h"

#include <memory>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"
#include "stamp/core/progress.h"
#include "stamp/nn/layers.h"
#include "stamp/pipelines/windows.h"
#include "stamp/quant/feature_transform.h"

namespace stamp {
namespace {

// The layer of a site: 3 of "layers.3.attn_in".
int64_t layer_of(const std::string& site) { return std::stoll(site.substr(site.find('.') + 1)); }

// Statistics of all sites for one recipe, gathered from the plain model's activations.
class RecipeCollector {
 public:
  RecipeCollector(const Recipe& recipe, const LlmConfig& config)
      : recipe_(recipe), config_(config) {}

  void add_input(const std::string& site, ConstFloatView x, int64_t position) {
    const Recipe recipe = recipe_for_layer(recipe_, layer_of(site));
    if (recipe.activations.bits == 16) return;
    Matrix copy = Matrix::copy_of(x);
    // The input of o_proj is made of heads, which decides how an odd size is rotated.
    const int64_t head_dim = site.ends_with("o_in") ? config_.head_dim : 0;
    if (recipe.feature == "hadamard") apply_hadamard(copy.view(), plan_hadamard(x.cols, head_dim));
    collector(site, recipe.activations, recipe.center).add(copy.view(), position);
  }

  void add_kv(const std::string& site, ConstFloatView x, int64_t position) {
    const Recipe recipe = recipe_for_layer(recipe_, layer_of(site));
    const KvSpec& spec = site.ends_with(".k") ? recipe.k : recipe.v;
    if (spec.bits == 16) return;
    Matrix copy = Matrix::copy_of(x);
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
  const LlmConfig& config_;
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
  key.weights = key.lm_head = {};
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

}  // namespace

std::map<std::string, Calibration> calibrate(std::shared_ptr<const ModelSource> source,
                                             const std::vector<Recipe>& recipes,
                                             const CalibrateOptions& options) {
  CalibrationObserver observer;
  std::map<std::string, size_t> index;
  for (const Recipe& recipe : recipes) {
    if (!recipe.needs_calibration()) continue;
    const auto [it, added] = index.try_emplace(statistics_key(recipe), index.size());
    if (added) observer.collectors.emplace_back(recipe, source->config());
  }
  std::map<std::string, Calibration> result;
  if (index.empty()) return result;

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
  std::vector<Calibration> finished;
  for (const RecipeCollector& collector : observer.collectors)
    finished.push_back(collector.finish());
  for (const Recipe& recipe : recipes)
    if (recipe.needs_calibration())
      result[recipe.name] = finished[index.at(statistics_key(recipe))];
  return result;
}

Calibration calibration_for(std::shared_ptr<const ModelSource> source, const Recipe& recipe,
                            const std::function<CalibrateOptions()>& text) {
  if (!recipe.needs_calibration()) return {};
  const Recipe* stored = source->stored_recipe();
  const Calibration& kept = source->stored_calibration();
  if (stored != nullptr && statistics_key(*stored) == statistics_key(recipe)) return kept;
  Calibration result = calibrate(source, {recipe}, text()).at(recipe.name);
  if (stored == nullptr || recipe.center == "none") return result;
  for (auto& [site, statistics] : result) {
    const auto found = kept.find(site);
    statistics.center = found != kept.end() && found->second.center;
    if (statistics.center) statistics.mean = found->second.mean;
  }
  return result;
}

}  // namespace stamp
