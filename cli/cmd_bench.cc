#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "command.h"
#include "stamp/pipelines/bench.h"
#include "stamp/pipelines/image_bench.h"
#include "stamp/pipelines/synthetic_model.h"

namespace stamp::cli {
namespace {

struct BenchFlags {
  BenchOptions options;
  std::string recipe, compared;
  int lm_head = 0;  // 0: as the recipe says
  bool json = false;
};

Recipe bench_recipe(const std::string& name, const BenchFlags& flags) {
  Recipe recipe = flags.options.model.empty() ? load_recipe(name.empty() ? "bf16" : name)
                                              : recipe_or_stored(name, flags.options.model);
  if (flags.lm_head != 0) recipe.lm_head.bits = flags.lm_head;
  return recipe;
}

bool is_image_shape(const std::string& name) {
  const std::vector<std::string> names = image_shape_names();
  return std::find(names.begin(), names.end(), name) != names.end();
}

void run_image_bench(const BenchFlags& flags) {
  const BenchOptions& o = flags.options;
  if (o.prefill > 0 || o.decode > 0 || o.depth > 0)
    throw CLI::ValidationError("--shape", "an image model has no --prefill, --decode or --depth");
  ImageBenchOptions options{.shape = o.shape,
                            .runs = o.runs,
                            .compute = usable_compute(o.compute),
                            .execution = o.execution};
  options.recipes.push_back(load_recipe(flags.recipe.empty() ? "bf16" : flags.recipe));
  if (!flags.compared.empty()) options.recipes.push_back(load_recipe(flags.compared));
  const ImageBenchResult result = bench_image_step(options);
  print_result(flags.json, to_json(result, options), to_text(result, options));
}

void run_bench(BenchFlags& flags, int& exit_code) {
  BenchOptions& o = flags.options;
  if (is_image_shape(o.shape)) return run_image_bench(flags);
  const bool has_model = !o.model.empty() || !o.shape.empty();
  if (!has_model && !o.linear) throw CLI::RequiredError("MODEL, --shape or --linear");
  if (has_model && o.prefill == 0 && o.decode == 0) o.prefill = 2048;
  o.recipes.push_back(bench_recipe(flags.recipe, flags));
  if (!flags.compared.empty()) o.recipes.push_back(bench_recipe(flags.compared, flags));
  o.compute = usable_compute(o.compute);
  const BenchResult result = bench(o);
  print_result(flags.json, to_json(result, o), to_text(result, o));
  exit_code = o.linear && !result.peak.credible() ? 1 : 0;  // shares of it were asked for
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<BenchFlags>();
  BenchOptions& o = flags->options;
  auto* model = app.add_option("MODEL", o.model, "Hugging Face model directory");
  model->check(CLI::ExistingDirectory);
  app.add_option("--shape", o.shape,
                 fmt::format("random weights: {} (language), {} (one image step), or a config.json",
                             fmt::join(shape_names(), ", "), fmt::join(image_shape_names(), ", ")))
      ->excludes(model);
  app.add_option("--prefill", o.prefill, "tokens of one pass (2048 unless --decode is given)");
  app.add_option("--decode", o.decode, "single tokens of one run");
  app.add_option("--depth", o.depth, "tokens in the cache before them");
  app.add_flag("--linear", o.linear, "single linears: 2048x2048->8192 and 2048x8192->2048");
  app.add_option("--runs", o.runs, "timed runs, after one that is not")->capture_default_str();
  app.add_option("--recipe", flags->recipe,
                 "preset name or JSON file (default: that of stored weights, or bf16)");
  app.add_option("--compare-recipe", flags->compared, "a second one that takes turns with it");
  app.add_option("--lm-head", flags->lm_head, "bits of the output head, whatever the recipe says")
      ->check(CLI::IsMember({4, 8, 16}));
  add_compute(app, "--compute", o.compute, "arithmetic where nothing is quantized: fp32 or bf16");
  add_execution(app, o.execution);
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] { run_bench(*flags, exit_code); });
}

}  // namespace stamp::cli
