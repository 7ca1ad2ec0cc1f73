#include <memory>

#include "image_flags.h"
#include "option_flags.h"
#include "stamp/core/error.h"
#include "stamp/io/model_files.h"
#include "stamp/pipelines/compare_presets.h"
#include "stamp/pipelines/image_compare.h"
#include "stamp/pipelines/options/compare.h"
#include "stamp/pipelines/options/image.h"

namespace stamp::cli {
namespace {

struct Flags {
  CompareOptions options;
  ImageFlags image;
  ImageCompareOptions comparison;  // of images
  std::string preset;
  std::vector<std::string> bits;
  std::vector<int> weights = {16}, activations = {4}, kv = {16};
  ResultFlags result;
};

// Sweeps instead of a grid: their own result and report.
void run_ablation_preset(CLI::App& app, const Flags& flags) {
  const CompareOptions& o = flags.options;
  AblationOptions options{.model = o.model,
                          .text = o.text.empty() ? model_folder(o.model) / "heldout.txt" : o.text,
                          .calibration = o.calibration,
                          .context = o.context,
                          .bos_every_window = o.bos_every_window};
  if (app.count("--feature") > 0) options.feature = o.features.front();
  if (app.count("--activations") > 0) options.bits = flags.activations.front();
  if (app.count("--windows") > 0) options.max_windows = o.max_windows;
  publish_result(flags.result, run_ablations(options));
}

std::vector<BitSetting> bit_settings(const Flags& flags) {
  std::vector<BitSetting> settings;
  for (const std::string& text : flags.bits) settings.push_back(parse_bit_setting(text));
  if (!settings.empty()) return settings;
  for (const int w : flags.weights)
    for (const int a : flags.activations)
      for (const int kv : flags.kv) settings.push_back({w, a, kv});
  return settings;
}

/// Before the flags' defaults: the paper has 4 bits everywhere.
void apply_preset(const CLI::App& app, Flags& flags) {
  const auto given = [&](const std::string& name) { return app.count(flag_name(name)) > 0; };
  if (flags.preset == "paper-llm" && !given("weights")) flags.weights = {4};
  if (flags.preset == "paper-llm" && !given("kv")) flags.kv = {4};
  if (flags.preset != "demo" || given("bits")) flags.options.bits = bit_settings(flags);
  stamp::apply_preset(flags.options, flags.preset, [&](const std::string& name) {
    return given(name) || (name == "bits" && flags.preset == "paper-llm");
  });
}

constexpr int64_t kReportPictures = 4;

void run_images(CLI::App& app, Flags& flags) {
  ImageCompareOptions& options = flags.comparison;
  options.image = flags.image.options;
  options.recipes = flags.options.recipes;
  options.grid.high_tokens = flags.options.high_tokens;
  options.cache = flags.options.cache;
  options.calibration_prompts = flags.image.calibration_prompts;
  const auto given = [&](const std::string& name) { return app.count(flag_name(name)) > 0; };
  if (given("feature")) options.grid.features = flags.options.features;
  if (given("weights")) options.grid.weights = flags.weights;
  if (given("activations")) options.grid.activations = flags.activations;
  if (!flags.result.report.empty()) options.pictures = kReportPictures;
  options.image.pipeline = flags.options.model;
  apply_preset(options, flags.preset, given);
  options.image.compute = usable_compute(options.image.compute);
  publish_result(flags.result, compare_images(options));
}

void run(CLI::App& app, Flags& flags) {
  if (flags.preset == "paper-lvm" ||
      std::filesystem::exists(flags.options.model / "model_index.json")) {
    finish_image_flags(flags.image);
    return run_images(app, flags);
  }
  if (!flags.comparison.clip.empty()) throw_argument("compare: --clip DIR is for image pipelines");
  if (flags.preset == "ablations") return run_ablation_preset(app, flags);
  apply_preset(app, flags);
  CompareOptions& options = flags.options;
  if (options.text.empty())
    throw_argument("compare: --text FILE is required without --preset demo");
  if (!options.recipes.empty() && !flags.result.report.empty())
    throw_argument("compare: --out draws the grid, not the recipes of --recipes; use --json-out");
  publish_result(flags.result, compare(options));
  if (!flags.result.report.empty() && !flags.result.json && is_first_process())
    fmt::print("report: {}\n", flags.result.report.string());
}

}  // namespace

void add_compare(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<Flags>();
  CompareOptions& options = flags->options;
  add_flags(app, options);
  app.get_option("MODEL")->required()->check(CLI::ExistingPath);
  app.get_option("--text")->check(CLI::ExistingFile);
  app.get_option("--center")
      ->check(CLI::IsMember({"none", "static", "auto"}))
      ->capture_default_str();
  app.add_option("--preset", flags->preset,
                 "demo: the grid of the bundled model or pipeline; paper-llm: the paper's methods, "
                 "--feature names presets paper-*; ablations: one setting varied at a time; "
                 "paper-lvm: of an image pipeline; other flags override")
      ->check(CLI::IsMember({"demo", "paper-llm", "ablations", "paper-lvm"}));
  app.add_option("--bits", flags->bits,
                 "settings like w4a4kv4,a3kv3; instead of the three lists below")
      ->delimiter(',');
  app.add_option("--weights", flags->weights, "weight widths")->delimiter(',');
  app.add_option("--activations", flags->activations, "activation widths")->delimiter(',');
  app.add_option("--kv", flags->kv, "K/V widths")->delimiter(',');
  add_result_flags(app, flags->result, "write a self-contained HTML report");
  auto* image = app.add_option_group("image pipelines");
  add_image_flags(*image, flags->image);
  visit_scoring_options(flags->comparison, FlagVisitor(*image));
  image->get_option("--clip")->check(CLI::ExistingDirectory);
  add_compute(*image, "--compute", flags->image.options.compute,
              "what unquantized products of image models are computed in");
  app.callback([&app, flags, &exit_code] {
    run(app, *flags);
    exit_code = 0;
  });
}

}  // namespace stamp::cli
