#include "stamp/pipelines/image_calibrate.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/io/atomic_file.h"
#include "stamp/io/sha256.h"
#include "stamp/models/calibration_file.h"
#include "stamp/nn/site_map.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/image_run.h"
#include "stamp/pipelines/quantize_layers.h"
#include "stamp/pipelines/score_journal.h"
#include "stamp/pipelines/smoothing.h"
#include "stamp/pipelines/smoothing_search.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

/// The layer of a site: 3 of "blocks.3.ff_in".
int64_t layer_of(const std::string& site) { return std::stoll(site.substr(site.find('.') + 1)); }

/// Inputs of output linears are made of heads, which decides how an odd size is rotated.
int64_t head_dim_of(const std::string& site, const ImageTransformerConfig& config) {
  if (site.ends_with("attn1_out_in")) return config.head_dim;
  return site.ends_with("attn2_out_in") ? config.cross_head_dim : 0;
}

bool behind_norm(const std::string& site) {
  return site.ends_with(".attn1_in") || site.ends_with(".ff_in");
}

FeatureMap map_of(const std::string& site, const Recipe& recipe, const Calibration& statistics,
                  int64_t in_dim, const ImageTransformerConfig& config) {
  Recipe own = recipe_for_layer(recipe, layer_of(site));
  own.center = "none";
  return site_map(site, own, &statistics, in_dim, head_dim_of(site, config));
}

/// Ranges of rows of L x T.
class RangeObserver : public Observer {
 public:
  RangeObserver(Recipe recipe, const Calibration& factors, const ImageTransformerConfig& config)
      : recipe_(std::move(recipe)), factors_(factors), config_(config) {}

  void on_input(const std::string& site, ConstFloatView x, int64_t position) override {
    if (!is_image_site(site)) return;
    const Recipe recipe = recipe_for_layer(recipe_, layer_of(site));
    if (recipe.activations.bits == 16) return;
    Matrix copy = Matrix::copy_of(x);
    map_rows(copy.view(), map_of(site, recipe, factors_, x.cols, config_));
    const auto found = sites_.try_emplace(site, recipe.activations, recipe.center).first;
    found->second.add(copy.view(), position);
  }

  Calibration finish() const {
    Calibration result;
    for (const auto& [site, collector] : sites_) result[site] = collector.finish();
    return result;
  }

 private:
  Recipe recipe_;
  const Calibration& factors_;
  const ImageTransformerConfig& config_;
  std::map<std::string, SiteCollector> sites_;
};

/// What files depend on besides the recipe.
std::string identity_of(const ImageOptions& o, const ImagePlan& plan) {
  return Json{{"pipeline", fs::canonical(o.pipeline).string()},
              {"files", file_stamps(plan.directory.part("transformer"))},
              {"prompts", o.prompts},
              {"negative_prompt", o.negative_prompt},
              {"instruction", o.instruction},
              {"width", plan.width},
              {"height", plan.height},
              {"steps", o.steps},
              {"guidance", o.guidance},
              {"seed", o.seed},
              {"max_tokens", o.max_tokens}}
      .dump();
}

std::vector<LinearWeight> weights_of(const Linear& linear) {
  std::vector<LinearWeight> weights;
  for (size_t i = 0; i < linear.parts(); ++i) weights.push_back(linear.source(i));
  return weights;
}

std::vector<Matrix> mapped_weights(const std::vector<LinearWeight>& weights,
                                   const FeatureMap& map) {
  std::vector<Matrix> values;
  for (const LinearWeight& weight : weights) {
    values.emplace_back(weight.weight.shape[0], weight.weight.shape[1]);
    load_weight_rows(weight.weight, map, {}, 0, values.back().view());
  }
  return values;
}

/// A recipe of one linear, whose branch has at most the rank of its weight.
Recipe with_usable_rank(const Recipe& recipe, const Linear& linear,
                        const std::vector<LinearWeight>& weights) {
  Recipe own = recipe_for_layer(recipe, layer_of(linear.site()));
  int64_t rows = 0;
  for (const LinearWeight& weight : weights) rows += weight.weight.shape[0];
  own.weights.rank = static_cast<int>(std::min({int64_t{own.weights.rank}, linear.in_dim(), rows}));
  return own;
}

Matrix stacked(const std::vector<Matrix>& parts) {
  int64_t rows = 0;
  for (const Matrix& part : parts) rows += part.rows();
  Matrix all(rows, parts[0].cols());
  float* end = all.data();
  for (const Matrix& part : parts) end = std::copy_n(part.data(), part.size(), end);
  return all;
}

/// Called for every linear that `recipe` quantizes. Ctrl-C ends it.
template <class Body>
void for_each_linear(const ImageTransformer& model, const Recipe& recipe, const char* label,
                     Body&& body) {
  const std::vector<const Linear*> linears = model.quantizable();
  Progress progress(label, static_cast<int64_t>(linears.size()), "linears");
  for (const Linear* linear : linears) {
    if (interrupted()) throw_runtime("interrupted");
    std::vector<std::string> names;
    for (size_t i = 0; i < linear->parts(); ++i) names.push_back(linear->source(i).name);
    if (!excludes(recipe, names)) body(*linear);
    progress.advance(1);
  }
}

}  // namespace

ImageCalibrator::ImageCalibrator(ImageOptions options, const ImagePlan& plan, fs::path cache)
    : options_(std::move(options)),
      plan_(plan),
      cache_(std::move(cache)),
      identity_(identity_of(options_, plan)) {}

fs::path ImageCalibrator::file(const std::string& kind, const std::string& key) const {
  if (cache_.empty()) return {};
  make_folders(cache_);
  return cache_ / fmt::format("{}-{}.safetensors", kind, sha256(identity_ + key).substr(0, 16));
}

const ImageInputs& ImageCalibrator::inputs() {
  if (!inputs_.empty()) return inputs_;
  const fs::path kept = file("inputs", "");
  if (!kept.empty() && fs::exists(kept)) return inputs_ = read_image_inputs(kept);
  inputs_ = gather_image_inputs(options_, plan_);
  if (!kept.empty()) write_image_inputs(kept, inputs_);
  return inputs_;
}

Calibration ImageCalibrator::factors(const Recipe& recipe) {
  Calibration result;
  if (!recipe.needs_smoothing()) return result;
  const bool searched = recipe.feature == "svdquant";
  const fs::path kept = searched ? file("factors", statistics_key(recipe)) : fs::path();
  if (!kept.empty() && fs::exists(kept)) return read_calibration(kept);
  uint64_t seed = static_cast<uint64_t>(recipe.seed) << 32;
  for_each_linear(*model_, recipe, "smoothing", [&](const Linear& linear) {
    const SiteInputs& own = inputs().at(linear.site());
    const std::vector<LinearWeight> weights = weights_of(linear);
    std::vector<float>& scale = result[linear.site()].scale;
    if (searched)
      scale = search_smoothing(own.rows.view(), stacked(mapped_weights(weights, {})).view(),
                               with_usable_rank(recipe, linear, weights));
    else if (recipe.smoothing.all_inputs || behind_norm(linear.site()))
      scale = smoothing_scale(recipe, own.peaks, weights, seed++);
    if (scale.empty()) scale.assign(own.peaks.size(), 1.0f);
  });
  if (!kept.empty()) write_calibration(kept, result);
  return result;
}

Calibration ImageCalibrator::ranges(const Recipe& recipe, Calibration known) {
  const Recipe own = for_grid(recipe, plan_);
  const fs::path kept = file("ranges", statistics_key(own));
  if (!kept.empty() && fs::exists(kept)) return read_calibration(kept);
  RangeObserver observer(own, known, model_->config());
  observe_images(options_, plan_, observer);
  for (auto& [site, statistics] : observer.finish()) {
    statistics.scale = std::move(known[site].scale);
    known[site] = std::move(statistics);
  }
  if (!kept.empty()) write_calibration(kept, known);
  return known;
}

WeightCodes ImageCalibrator::codes(const Recipe& recipe, const Calibration& statistics) {
  WeightCodes result;
  for_each_linear(*model_, recipe, "low rank", [&](const Linear& linear) {
    const FeatureMap map =
        map_of(linear.site(), recipe, statistics, linear.in_dim(), model_->config());
    Matrix rows = Matrix::copy_of(inputs().at(linear.site()).rows.view());
    map_rows(rows.view(), map);
    Hessian hessian(channel_rms(rows.view()));
    hessian.add(rows.view());
    const std::vector<LinearWeight> weights = weights_of(linear);
    const WeightSpec spec = with_usable_rank(recipe, linear, weights).weights;
    split_group(
        weights, mapped_weights(weights, map), spec.rank, hessian,
        [&](ConstFloatView values) { return quantize_weight(values, spec); }, result);
  });
  return result;
}

ImageCalibration ImageCalibrator::make(const Recipe& recipe) {
  const bool has_codes = recipe.needs_weight_calibration();
  if (!recipe.needs_calibration() && !has_codes) return {};
  if (recipe.changes_basis())
    throw_argument("recipe '{}': the feature '{}' is not for images", recipe.name, recipe.feature);
  if (recipe.rotation_parts != 1)
    throw_argument("recipe '{}': rotation_parts is not for images", recipe.name);
  if (recipe.weights.quantizer != "rtn")
    throw_argument("recipe '{}': weights of images are quantized by rtn, not '{}'", recipe.name,
                   recipe.weights.quantizer);
  if (options_.prompts.empty())
    throw_runtime("recipe '{}' needs calibration: pass prompts for it, other ones than are drawn",
                  recipe.name);
  if (!model_) model_ = open_transformer(options_, plan_, Recipe{}, nullptr);
  ImageCalibration result;
  result.statistics = factors(recipe);
  if (recipe.needs_ranges()) result.statistics = ranges(recipe, std::move(result.statistics));
  if (has_codes) result.codes = codes(recipe, result.statistics);
  return result;
}

}  // namespace stamp
