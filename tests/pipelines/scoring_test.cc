#include "stamp/pipelines/scoring.h"

#include <gtest/gtest.h>

#include <cmath>

#include "stamp/core/parallel.h"
#include "stamp/core/progress.h"
#include "stamp/core/rng.h"
#include "stamp/io/model_files.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

class Scoring : public testing::Test {
 protected:
  std::shared_ptr<const ModelSource> source =
      ModelSource::open(std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm/llama/ckpt");
  std::unique_ptr<Model> plain = make_model(source);

  static std::vector<std::vector<int32_t>> random_windows(size_t count, size_t tokens) {
    Rng rng(3);
    std::vector<std::vector<int32_t>> windows(count, std::vector<int32_t>(tokens));
    for (auto& window : windows)
      for (int32_t& id : window) id = static_cast<int32_t>(rng.below(64));
    return windows;
  }

  ScoreResult score(const Model& model, const ScoreOptions& options = {},
                    int64_t budget = 1 << 20) {
    ReferenceCache cache(*plain, Compute::kF32, budget);
    return score_windows(model, cache, windows, options);
  }

  static Recipe quantized() {
    Recipe recipe{.name = "a3-haar"};
    recipe.activations.bits = 3;
    recipe.activations.sequence = {.transform = "haar", .skip_tokens = 1};
    recipe.activations.plan = {.kind = "two_level", .high_tokens = 8};
    return recipe;
  }

  std::vector<std::vector<int32_t>> windows = random_windows(5, 64);
};

TEST_F(Scoring, ThePlainModelEqualsItsReference) {
  const ScoreResult result = score(*plain);
  EXPECT_EQ(result.all.tokens, 5 * 63);
  EXPECT_EQ(result.all.perplexity, result.all.perplexity_reference);
  EXPECT_EQ(result.all.kl_mean, 0);
  EXPECT_EQ(result.all.top1_agreement, 1);
  EXPECT_EQ(result.all.nll_standard_error, 0);
  EXPECT_TRUE(std::isinf(result.hidden_sqnr_db));
  EXPECT_FALSE(result.partial);
}

TEST_F(Scoring, PerplexityIsTheMeanOverAllPredictedTokens) {
  const ScoreResult result = score(*plain);
  double nll = 0;
  for (const auto& window : windows) {
    ForwardContext context;
    KvCache cache = plain->make_cache(64);
    const Matrix hidden = plain->forward(window, cache, context);
    Matrix logits(64, 64);
    plain->logits(hidden.view(), logits.view(), context);
    for (int64_t t = 0; t < 63; ++t) {
      double sum = 0;
      for (int64_t v = 0; v < 64; ++v) sum += std::exp(double{logits(t, v)});
      nll += std::log(sum) - logits(t, window[static_cast<size_t>(t) + 1]);
    }
  }
  EXPECT_NEAR(result.all.perplexity, std::exp(nll / (5 * 63)), 1e-4 * result.all.perplexity);
}

TEST_F(Scoring, CausalPositionsCloseARun) {
  const auto model = make_model(source, {.recipe = quantized()});
  EXPECT_EQ(transform_run(quantized(), 64), 8);  // 8 protected rows of 64: three levels
  const ScoreResult result = score(*model, {.causal_run = 8, .sqnr_windows = 2});
  EXPECT_EQ(result.causal.tokens, 5 * 7);  // 7, 15, ..., 55; the last token predicts nothing
  EXPECT_GT(result.all.kl_mean, 0);
  EXPECT_EQ(result.linears.size(), 2u * 7u);
  for (const LinearSqnr& linear : result.linears) EXPECT_GT(linear.db, 3) << linear.linear;
}

TEST_F(Scoring, ThreadsAndTheCacheDoNotChangeTheResult) {
  const auto model = make_model(source, {.recipe = quantized()});
  set_threads(1);
  const ScoreResult one = score(*model);
  set_threads(3);
  const ScoreResult three = score(*model, {}, 0);
  set_threads(0);
  EXPECT_EQ(one.all.kl_mean, three.all.kl_mean);
  EXPECT_EQ(one.all.perplexity, three.all.perplexity);
  EXPECT_EQ(one.hidden_sqnr_db, three.hidden_sqnr_db);
}

TEST(TransformRun, IsOneWhereNothingMixesTokens) {
  Recipe recipe;
  EXPECT_EQ(transform_run(recipe, 1024), 1);
  recipe.activations.bits = 4;
  EXPECT_EQ(transform_run(recipe, 1024), 1);
  recipe.activations.sequence.transform = "dct";
  EXPECT_EQ(transform_run(recipe, 1024), 1024);
  recipe.activations.sequence.block_tokens = 64;
  EXPECT_EQ(transform_run(recipe, 1024), 64);
  recipe.activations = {};
  recipe.k.bits = 4;
  recipe.kv_block = 0;
  EXPECT_EQ(transform_run(recipe, 1024), 1);
  recipe.k.sequence.transform = "haar";
  recipe.k.sequence.levels = 3;
  EXPECT_EQ(transform_run(recipe, 1024), 8);
  recipe.v.bits = 4;
  recipe.v.sequence.transform = "wht";
  EXPECT_EQ(transform_run(recipe, 1024), 1024);
  recipe.kv_block = 64;
  EXPECT_EQ(transform_run(recipe, 1024), 1);
}

TEST_F(Scoring, TokensThatCloseARunDependOnThePastOnly) {
  Recipe recipe = quantized();
  recipe.kv_block = 0;
  recipe.k.bits = recipe.v.bits = 3;
  recipe.k.sequence = recipe.v.sequence = {.transform = "haar", .levels = 2, .skip_tokens = 1};
  recipe.k.plan = recipe.v.plan = {.kind = "two_level", .high_tokens = 16};
  const auto model = make_model(source, {.recipe = recipe});
  const int64_t run = transform_run(recipe, 64), vocabulary = source->config().vocab_size;
  ASSERT_EQ(run, 8);
  const auto logits_of = [&](const std::vector<int32_t>& ids) {
    KvCache cache = model->make_cache(64);
    ForwardContext context;
    const Matrix hidden = model->forward(ids, cache, context);
    Matrix logits(hidden.rows(), vocabulary);
    model->logits(hidden.view(), logits.view(), context);
    return logits;
  };
  std::vector<int32_t> ids = windows[0];
  const Matrix before = logits_of(ids);
  for (size_t t = 40; t < ids.size(); ++t) ids[t] = static_cast<int32_t>((ids[t] + 1) % vocabulary);
  const Matrix after = logits_of(ids);
  for (int64_t t = run - 1; t < 40; t += run)
    for (int64_t j = 0; j < vocabulary; ++j) EXPECT_EQ(before(t, j), after(t, j)) << t;
}

class JournaledScoring : public Scoring {
 protected:
  ScoreResult score_journaled(const Recipe& recipe, int64_t model_stamp = 1) {
    const auto model = make_model(source, {.recipe = recipe});
    return score(*model, {.sqnr_windows = 1, .journal = folder.path(), .settings = model_stamp});
  }
  std::filesystem::path file() const {
    std::filesystem::path only;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      EXPECT_TRUE(only.empty()) << "a second journal";
      only = entry.path();
    }
    return only;
  }
  static void expect_same(const ScoreResult& a, const ScoreResult& b) {
    EXPECT_EQ(a.all.perplexity, b.all.perplexity);
    EXPECT_EQ(a.all.kl_mean, b.all.kl_mean);
    EXPECT_EQ(a.all.kl_99, b.all.kl_99);
    EXPECT_EQ(a.hidden_sqnr_db, b.hidden_sqnr_db);
    ASSERT_EQ(a.linears.size(), b.linears.size());
    for (size_t i = 0; i < a.linears.size(); ++i) EXPECT_EQ(a.linears[i].db, b.linears[i].db);
    EXPECT_FALSE(b.partial);
  }
  TempDirectory folder;
};

TEST_F(JournaledScoring, GoesOnAfterAnyNumberOfBytes) {
  const ScoreResult whole = score_journaled(quantized());
  const std::string bytes = read_text(file());
  for (const size_t kept :
       {size_t{0}, size_t{7}, bytes.size() / 3, bytes.size() - 1, bytes.size()}) {
    std::ofstream(file(), std::ios::binary) << bytes.substr(0, kept);
    expect_same(whole, score_journaled(quantized()));
    EXPECT_EQ(read_text(file()), bytes);
  }
}

TEST_F(JournaledScoring, FinishedWindowsAreNotComputedAgain) {
  const ScoreResult whole = score_journaled(quantized());
  interrupt();  // nothing is computed any more
  expect_same(whole, score_journaled(quantized()));
  clear_interrupt();
}

TEST_F(JournaledScoring, OtherModelsAndRecipesHaveTheirOwn) {
  score_journaled(quantized());
  score_journaled(quantized(), 2);
  Recipe wider = quantized();
  wider.activations.bits = 4;
  score_journaled(wider);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 3);
}

TEST_F(JournaledScoring, AFolderThatCannotBeWrittenIsAnError) {
  const auto file = folder.write("file", "");
  const ScoreOptions options{.journal = file, .settings = 1};
  EXPECT_THROW(score(*plain, options), std::runtime_error);
}

}  // namespace
}  // namespace stamp
