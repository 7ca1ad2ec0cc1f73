#include "stamp/pipelines/image_calibrate.h"

#include <map>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"
#include "stamp/models/calibration_file.h"
#include "stamp/pipelines/image_run.h"

namespace stamp {
namespace {

/// The layer of a site: 3 of "blocks.3.ff_in".
int64_t layer_of(const std::string& site) { return std::stoll(site.substr(site.find('.') + 1)); }

class SiteObserver : public Observer {
 public:
  SiteObserver(Recipe recipe, const ImageTransformerConfig& config)
      : recipe_(std::move(recipe)), config_(config) {}

  void on_input(const std::string& site, ConstFloatView x, int64_t position) override {
    if (!site.starts_with("blocks.") || !site.ends_with("_in")) return;
    const Recipe recipe = recipe_for_layer(recipe_, layer_of(site));
    if (recipe.activations.bits == 16) return;
    Matrix copy = Matrix::copy_of(x);
    if (recipe.feature == "hadamard")
      apply_hadamard(copy.view(), plan_hadamard(x.cols, head_dim_of(site)));
    const auto found = sites_.try_emplace(site, recipe.activations, recipe.center).first;
    found->second.add(copy.view(), position);
  }

  Calibration finish() const {
    Calibration result;
    for (const auto& [site, collector] : sites_) result[site] = collector.finish();
    return result;
  }

 private:
  /// Inputs of output linears are made of heads, which decides how an odd size is rotated.
  int64_t head_dim_of(const std::string& site) const {
    if (site.ends_with("attn1_out_in")) return config_.head_dim;
    return site.ends_with("attn2_out_in") ? config_.cross_head_dim : 0;
  }

  Recipe recipe_;
  ImageTransformerConfig config_;
  std::map<std::string, SiteCollector> sites_;
};

}  // namespace

Calibration calibrate_images(const ImageOptions& options, const ImagePlan& plan,
                             const Recipe& recipe) {
  if (!recipe.needs_calibration()) return {};
  if (recipe.feature != "none" && recipe.feature != "hadamard")
    throw_argument("recipe '{}': the feature '{}' has no calibration on images", recipe.name,
                   recipe.feature);
  const std::vector<PromptStates> states = encode_prompts(options, plan);
  const auto model = open_transformer(options, plan, Recipe{}, nullptr);
  const SchedulerConfig scheduler = read_scheduler_config(plan.directory.part("scheduler"));
  SiteObserver observer(for_grid(recipe, plan), model->config());
  ForwardContext context{.compute = options.compute};
  const PreparedPrompts prompts = prepare_prompts(*model, options, plan, states, context);
  context.observer = &observer;
  Progress progress("calibrate", static_cast<int64_t>(options.prompts.size()) * options.steps,
                    "steps");
  DenoiseOptions run{.steps = options.steps};
  run.on_step = [&](size_t, const PixelMap&, const PixelMap&) { progress.advance(1); };
  for (size_t i = 0; i < options.prompts.size(); ++i)
    denoise(*model, scheduler, noise_of(options, plan, i), prompts.condition(i, options.guidance),
            run, context);
  return observer.finish();
}

Calibration image_calibration(ImageOptions options, const ImagePlan& plan, const Recipe& recipe,
                              const std::filesystem::path& file,
                              const std::vector<std::string>& prompts) {
  if (!recipe.needs_calibration()) return {};
  std::error_code ignored;
  if (!file.empty() && std::filesystem::exists(file, ignored)) return read_calibration(file);
  if (prompts.empty())
    throw_runtime("recipe '{}' needs calibration: pass prompts for it, other ones than are drawn",
                  recipe.name);
  options.prompts = prompts;
  const Calibration result = calibrate_images(options, plan, recipe);
  if (!file.empty()) write_calibration(file, result);
  return result;
}

}  // namespace stamp
