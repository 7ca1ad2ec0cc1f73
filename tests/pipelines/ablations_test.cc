#include "stamp/pipelines/ablations.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/pipelines/tiny_model.h"

namespace stamp {
namespace {

AblationOptions options_of(const TinyModel& model) {
  return {.model = model.path(),
          .text = model.path() / "heldout.txt",
          .context = 128,
          .max_windows = 1,
          .timed_runs = 1};
}

TEST(AblationPlan, GoesThroughTheSettingsOfThePaper) {
  const TinyModel model("ablation_plan");
  LlmConfig config = ModelSource::open(model.path())->config();
  config.max_positions = 4096;
  std::set<std::string> ids;
  for (const Ablation& ablation : ablation_plan({.model = model.path()}, config)) {
    ids.insert(ablation.id);
    const size_t expected = ablation.id == "rows"     ? 7
                            : ablation.id == "levels" ? 9
                            : ablation.id == "bits"   ? 7
                            : ablation.id == "length" ? 5
                                                      : 4;
    for (const AblationSeries& series : ablation.series) {
      EXPECT_GE(series.points.size(), expected) << ablation.id << series.name;
      for (const AblationPoint& point : series.points) EXPECT_NO_THROW(check(point.recipe));
    }
  }
  EXPECT_EQ(ids,
            (std::set<std::string>{"rows", "levels", "bits", "length", "granularity", "overhead"}));
  config.max_positions = 600;
  for (const Ablation& ablation : ablation_plan({.model = model.path()}, config))
    if (ablation.id == "length") {
      EXPECT_EQ(ablation.series[0].points.size(), 3u);
    }
}

TEST(Ablations, MeasureEveryPointAndDrawIt) {
  const TinyModel model("ablations");
  const AblationReport report = run_ablations(options_of(model));
  EXPECT_FALSE(report.partial);
  const std::string html = to_html(report), text = to_text(report);
  for (const Ablation& ablation : report.ablations) {
    EXPECT_NE(html.find("id=\"" + ablation.id + "\""), std::string::npos) << ablation.id;
    EXPECT_NE(text.find(ablation.title), std::string::npos);
    for (const AblationSeries& series : ablation.series)
      for (const AblationPoint& point : series.points) {
        EXPECT_GT(ablation.timed ? point.milliseconds : point.kl, 0)
            << ablation.id << series.name << point.label;
        EXPECT_LE(point.bits, 8.1);
      }
    // More rows at 8 bits and wider rows lose less.
    if (ablation.id != "rows" && ablation.id != "bits") continue;
    for (const AblationSeries& series : ablation.series)
      EXPECT_LT(series.points.back().kl, series.points.front().kl) << ablation.id << series.name;
  }
  EXPECT_EQ(html.find("src="), std::string::npos);
  EXPECT_EQ(to_json(report)["ablations"].size(), 6u);
}

}  // namespace
}  // namespace stamp
