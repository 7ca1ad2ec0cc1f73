#include <algorithm>
#include <memory>

#include "option_flags.h"
#include "stamp/pipelines/options/bench.h"

namespace stamp::cli {
namespace {

struct BenchFlags {
  BenchOptions options;
  std::string recipe, compared;
  int lm_head = 0;  // 0: as the recipe says
  bool json = false;
};

Recipe bench_recipe(const std::string& name, const BenchFlags& flags) {
  Recipe recipe = name.empty() ? unnamed_recipe() : load_recipe(name);
  if (flags.options.model.empty() && name.empty()) recipe = {};
  complete_recipe(recipe, flags.options.model);
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
  add_flags(app, flags->options);
  CLI::Option* model = app.get_option("MODEL")->check(CLI::ExistingPath);
  app.get_option("--shape")->excludes(model);
  app.get_option("--prefill")->default_str("");  // depends on the others
  app.add_option("--recipe", flags->recipe,
                 "preset name or JSON file (default: that of stored weights, or bf16)");
  app.add_option("--compare-recipe", flags->compared, "a second one that takes turns with it");
  app.add_option("--lm-head", flags->lm_head, "bits of the output head, whatever the recipe says")
      ->check(CLI::IsMember({4, 8, 16}));
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] { run_bench(*flags, exit_code); });
}

}  // namespace stamp::cli
