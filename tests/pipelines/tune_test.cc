#include "stamp/pipelines/tune.h"

#include <gtest/gtest.h>

#include "stamp/pipelines/tune_moves.h"
#include "tests/pipelines/tiny_model.h"

namespace stamp {
namespace {

TuneOptions options_of(const TinyModel& model) {
  Recipe start = load_recipe("w4a4kv4-stamp-wf");
  start.weights.mse_clip = false;
  return {.model = model.path(),
          .out = model.path() / "best.json",
          .state = model.path() / "state.json",
          .start = start,
          .average_bits = 4.25,
          .transforms = {"identity", "haar"},
          .context = 128,
          .search_windows = 3};
}

TEST(TuneCandidates, KeepToTheBudget) {
  const TinyModel model("tune_candidates");
  TuneOptions options = options_of(model);
  options.transforms = {"identity", "haar", "dct", "klt", "cdf97"};
  options.context = 1024;
  for (const double bits : {2.5, 4.125, 6.0}) {
    options.average_bits = bits;
    const std::vector<Recipe> candidates = tune_candidates(options);
    EXPECT_GE(candidates.size(), 10u);
    for (const Recipe& recipe : candidates) {
      if (recipe.activations.plan.kind != "two_level") continue;
      const double average = TokenQuantizer(recipe.activations).count_bits(1024, 8).average();
      EXPECT_LE(average, bits) << recipe.name;
      EXPECT_GT(average, bits - 0.01) << recipe.name;
    }
  }
}

TEST(TuneMoves, ChangeTheRecipeAndLeaveItValid) {
  const Recipe start = load_recipe("w4a4kv4-stamp-wf");
  size_t count = 0;
  for (const auto& group : tune_moves(start))
    for (const TuneMove& move : group) {
      Recipe changed = start;
      move.apply(changed);
      EXPECT_NO_THROW(check(changed)) << move.name;
      EXPECT_NE(to_json(changed), to_json(start)) << move.name;
      ++count;
    }
  EXPECT_GT(count, 20u);
}

TEST(Tune, FindsARecipeWithinItsBudgetAndWritesIt) {
  const TinyModel model("tune");
  TuneOptions options = options_of(model);
  options.text = model.path() / "heldout.txt";
  options.rivals = {"w4a4kv4"};
  const Tuning tuning = tune(options);
  EXPECT_LE(tuning.activation_bits, 4.25 + 1e-6);
  EXPECT_FALSE(tuning.partial);
  ASSERT_GE(tuning.steps.size(), 2u);
  for (size_t i = 1; i < tuning.steps.size(); ++i)
    EXPECT_LT(tuning.steps[i].kl, tuning.steps[i - 1].kl) << tuning.steps[i].change;
  EXPECT_EQ(tuning.kl, tuning.steps.back().kl);
  EXPECT_EQ(to_json(load_recipe(options.out.string())), to_json(tuning.best));
  ASSERT_GE(tuning.evidence.size(), 2u);
  EXPECT_EQ(tuning.evidence[0].name, tuning.best.name);
  EXPECT_NE(to_text(tuning).find("not searched on"), std::string::npos);

  // From the state: the same result, nothing measured again.
  options.text.clear();
  const Tuning again = tune(options);
  EXPECT_EQ(to_json(again.best), to_json(tuning.best));
  EXPECT_EQ(again.evaluations, 0);
  EXPECT_EQ(again.reused, tuning.evaluations + tuning.reused);
}

TEST(Tune, AStateOfAnotherSearchIsRefused) {
  const TinyModel model("tune_state");
  const TuneOptions options = options_of(model);
  for (const char* state :
       {"[]", R"({"schema": 1})", R"({"schema": 1, "search": "x", "scores": {}})"}) {
    std::ofstream(options.state) << state;
    EXPECT_THROW(tune(options), std::invalid_argument) << state;
  }
}

TEST(Tune, FindsTheFewestBitsForAGivenLoss) {
  const TinyModel model("tune_kl");
  TuneOptions options = options_of(model);
  options.state.clear();
  options.transforms = {"haar"};
  options.features = {"none"};
  const double loose = tune(options).kl;
  options.max_kl = 4 * loose;
  const Tuning tuning = tune(options);
  EXPECT_LE(tuning.kl, options.max_kl);
  EXPECT_LT(tuning.activation_bits, 4.25);
  options.max_kl = 1e-9;
  EXPECT_THROW(tune(options), std::runtime_error);
}

TEST(Tune, NeedsSomethingToSearch) {
  const TinyModel model("tune_none");
  TuneOptions options = options_of(model);
  options.start = load_recipe("kv4");
  EXPECT_THROW(tune(options), std::invalid_argument);
  options = options_of(model);
  options.context = 1000;
  EXPECT_THROW(tune(options), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
