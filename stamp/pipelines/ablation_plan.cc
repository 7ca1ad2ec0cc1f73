// The settings that the ablations go through.
#include "stamp/core/error.h"
#include "stamp/pipelines/ablations.h"

namespace stamp {
namespace {

/// Inputs of linears with this transform and plan; nothing else is quantized.
Recipe base_recipe(const AblationOptions& options, const std::string& transform,
                   const std::string& plan) {
  Recipe recipe;
  recipe.feature = options.feature;
  TokenSpec& spec = recipe.activations;
  spec.bits = options.bits;
  spec.sequence = {.transform = transform, .skip_tokens = transform == "identity" ? 0 : 1};
  spec.plan.kind = plan;
  // With L the sink is one row more.
  if (transform == "identity") ++spec.plan.high_tokens;
  return recipe;
}

AblationPoint point(std::string label, Recipe recipe, int64_t context) {
  return {.label = std::move(label), .recipe = std::move(recipe), .context = context};
}

struct Kind {
  const char *name, *transform, *plan;
};
constexpr Kind kBaseline{"no L", "identity", "two_level"};
constexpr Kind kHaar{"haar, two_level", "haar", "two_level"};
constexpr Kind kFilled{"haar, waterfill", "haar", "waterfill"};
constexpr Kind kDct{"dct, two_level", "dct", "two_level"};

/// A series per kind, a point per value; `change(recipe, value)` sets what varies.
template <class Value, class Change>
std::vector<AblationSeries> vary(const AblationOptions& options, std::initializer_list<Kind> kinds,
                                 std::initializer_list<Value> values, Change&& change) {
  std::vector<AblationSeries> all;
  for (const Kind& kind : kinds) {
    AblationSeries series{.name = kind.name};
    for (const Value value : values) {
      Recipe recipe = base_recipe(options, kind.transform, kind.plan);
      change(recipe, value);
      series.points.push_back(point(fmt::format("{}", value), std::move(recipe), options.context));
    }
    all.push_back(std::move(series));
  }
  return all;
}

/// `rows` of 8 bits in all, sinks included; none: uniform.
void set_rows(Recipe& recipe, int rows) {
  TokenSpec& spec = recipe.activations;
  if (rows == 0) {
    spec.plan.kind = "uniform";
    return;
  }
  spec.plan.high_tokens = rows + (spec.sequence.transform == "identity" ? 1 : 0);
}

Ablation lengths(const AblationOptions& options, const LlmConfig& config) {
  Ablation ablation{
      .id = "length",
      .title = "Tokens in a window",
      .axis = "tokens",
      .caption = "Plan <code>fraction</code>: 1 row of 32 at 8 bits at every length."};
  for (const Kind& kind : {Kind{"no L", "identity", "fraction"}, Kind{"haar", "haar", "fraction"},
                           Kind{"dct", "dct", "fraction"}}) {
    AblationSeries series{.name = kind.name};
    for (const int64_t length : {128, 256, 512, 1024, 2048})
      if (length <= config.max_positions)
        series.points.push_back(point(fmt::format("{}", length),
                                      base_recipe(options, kind.transform, kind.plan), length));
    ablation.series.push_back(std::move(series));
  }
  return ablation;
}

Ablation overhead(const AblationOptions& options) {
  Ablation ablation{.id = "overhead",
                    .title = "Time of a prefill",
                    .axis = "transform",
                    .caption = "int4 weights on integers, median; bars begin at zero.",
                    .timed = true};
  AblationSeries series{.name = "prefill"};
  const auto add = [&](const std::string& label, const std::string& transform, int levels) {
    Recipe recipe =
        base_recipe(options, transform, transform == "identity" ? "uniform" : "two_level");
    recipe.weights = {.bits = 4};
    recipe.activations.sequence.levels = levels;
    series.points.push_back(point(label, std::move(recipe), options.context));
  };
  add("no L", "identity", 0);
  add("haar 1", "haar", 1);
  add("haar 3", "haar", 3);
  add("haar 9", "haar", 9);
  for (const char* transform : {"db4", "cdf97", "wht", "dct"}) add(transform, transform, 0);
  ablation.series.push_back(std::move(series));
  return ablation;
}

}  // namespace

std::vector<Ablation> ablation_plan(const AblationOptions& options, const LlmConfig& config) {
  std::vector<Ablation> plan;
  plan.push_back(
      {.id = "rows",
       .title = "Rows at 8 bits",
       .axis = "rows",
       .caption = "J matches the rows: the largest with as many rows in A_J.",
       .series = vary(options, {kBaseline, kHaar, kDct}, {0, 8, 16, 32, 64, 128, 256}, set_rows)});
  Ablation levels{
      .id = "levels",
      .title = "Levels J of Haar",
      .axis = "J",
      .caption = "64 rows at 8 bits; the paper uses J = 3.",
      .series = vary(options, {kHaar, kFilled}, {1, 2, 3, 4, 5, 6, 7, 8, 9},
                     [](Recipe& recipe, int j) { recipe.activations.sequence.levels = j; })};
  plan.push_back(std::move(levels));
  plan.push_back(
      {.id = "bits",
       .title = "Width of the other rows",
       .axis = "bits",
       .caption = "64 rows at 8 bits, the others as narrow as the axis says; waterfill spends as "
                  "many bits.",
       .series = vary(options, {kBaseline, kHaar, kFilled}, {2, 3, 4, 5, 6, 7, 8},
                      [](Recipe& recipe, int bits) { recipe.activations.bits = bits; })});
  plan.push_back(lengths(options, config));
  plan.push_back({.id = "granularity",
                  .title = "Columns that share a scale",
                  .axis = "columns",
                  .caption = "0: one scale per row. Scales are not counted as bits.",
                  .series = vary(options, {kBaseline, kHaar, kFilled}, {0, 128, 64, 32},
                                 [](Recipe& recipe, int block) {
                                   recipe.activations.quantizer.block = block;
                                 })});
  plan.push_back(overhead(options));
  return plan;
}

}  // namespace stamp
