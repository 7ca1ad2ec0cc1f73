#include "stamp/pipelines/serving/batch_scheduler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <optional>

namespace stamp {
namespace {

using Ids = std::vector<int32_t>;

Ids random_ids(size_t count, uint64_t seed) {
  Rng rng(seed);
  Ids ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(64));
  return ids;
}

std::unique_ptr<Model> open_model(const std::string& recipe) {
  return make_model(
      ModelSource::open(std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm/llama/ckpt"),
      {.recipe = load_recipe(recipe)});
}

/// What became of one request.
struct Outcome {
  Ids ids;
  std::vector<GeneratedToken> tokens;
  std::vector<int64_t> steps;  // at which each token came
  std::optional<SequenceEnd> end;
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
};

void run(BatchScheduler& scheduler) {
  while (scheduler.step()) continue;
}

class Scheduler : public testing::Test {
 protected:
  Outcome& add(BatchScheduler& scheduler, Ids prompt, GenerateOptions options,
               int top_logprobs = -1) {
    Outcome& outcome = outcomes.emplace_back();
    options.top_logprobs = top_logprobs;
    scheduler.add({.prompt = std::move(prompt),
                   .generate = std::move(options),
                   .cancelled = outcome.cancelled,
                   .on_token =
                       [&outcome, &scheduler](const GeneratedToken& token) {
                         outcome.ids.push_back(token.id);
                         outcome.tokens.push_back(token);
                         outcome.steps.push_back(scheduler.stats().steps);
                         return true;
                       },
                   .on_end = [&outcome](const SequenceEnd& end) { outcome.end = end; }});
    return outcome;
  }
  /// One request in a scheduler of its own.
  Outcome& alone(const Model& model, const Ids& prompt, const GenerateOptions& options,
                 SchedulerOptions settings) {
    settings.prefix_reuse = PrefixReuse::kOff;
    BatchScheduler scheduler(model, {}, settings);
    Outcome& outcome = add(scheduler, prompt, options);
    run(scheduler);
    return outcome;
  }

  std::deque<Outcome> outcomes;
};

TEST_F(Scheduler, BatchedIsAlone) {
  for (const char* recipe : {"bf16", "w4a8kv4-stamp", "w4a4kv4-stamp"}) {
    const auto model = open_model(recipe);
    const SchedulerOptions settings{.max_sequences = 4, .prefill_chunk = 64};
    BatchScheduler scheduler(*model, {}, settings);
    std::vector<std::pair<Ids, GenerateOptions>> requests;
    std::vector<Outcome*> got;
    for (size_t i = 0; i < 9; ++i) {
      requests.push_back({random_ids(1 + 23 * i, i),
                          {.sampling = {.temperature = i % 2 ? 0.8 : 0.0, .top_p = 0.9},
                           .max_new_tokens = static_cast<int64_t>(5 + 3 * i),
                           .seed = i}});
      got.push_back(&add(scheduler, requests[i].first, requests[i].second));
    }
    int64_t most = 0;
    while (scheduler.step()) most = std::max(most, scheduler.stats().running);
    EXPECT_GE(most, 3) << "they took turns instead of running together";
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto& [prompt, options] = requests[i];
      EXPECT_EQ(got[i]->ids, alone(*model, prompt, options, settings).ids) << recipe << " " << i;
      ASSERT_TRUE(got[i]->end);
      EXPECT_EQ(got[i]->end->reason, FinishReason::kLength);
      EXPECT_EQ(got[i]->end->generated_tokens, options.max_new_tokens);
    }
  }
}

TEST_F(Scheduler, PromptsOfOneChunkGiveWhatGenerateGives) {
  const auto model = open_model("w4a4kv4-stamp");
  ForwardContext context;
  for (const size_t length : {1, 2, 63, 64, 150, 200})
    for (const double temperature : {0.0, 1.0}) {
      const Ids prompt = random_ids(length, length);
      const GenerateOptions options{
          .sampling = {.temperature = temperature}, .max_new_tokens = 20, .seed = 5};
      EXPECT_EQ(alone(*model, prompt, options, {}).ids,
                generate_ids(*model, prompt, options, context))
          << length;
    }
}

TEST_F(Scheduler, ReusedPrefixesGiveTheSameBits) {
  for (const char* recipe : {"bf16", "w4a8kv4-stamp", "w4a4kv4-stamp"}) {
    const auto model = open_model(recipe);
    const SchedulerOptions settings{.prefill_chunk = 64};
    BatchScheduler scheduler(*model, {}, settings);
    const Ids shared = random_ids(150, 1);
    const GenerateOptions options{.sampling = {.temperature = 1.0}, .max_new_tokens = 30};
    Outcome& first = add(scheduler, shared, options);
    run(scheduler);
    EXPECT_EQ(first.end->reused_tokens, 0);
    EXPECT_EQ(scheduler.stats().prefix_pages, 2);
    // The same text, a longer one, one that ends with a page, one that differs in the second page.
    std::vector<Ids> prompts = {shared, shared, Ids(shared.begin(), shared.begin() + 128), shared};
    prompts[1].push_back(7);
    prompts[3][70] ^= 1;
    const std::vector<int64_t> reused = {128, 128, 64, 64};
    for (size_t i = 0; i < prompts.size(); ++i) {
      Outcome& outcome = add(scheduler, prompts[i], options);
      run(scheduler);
      EXPECT_EQ(outcome.end->reused_tokens, reused[i]) << i;
      EXPECT_EQ(outcome.ids, alone(*model, prompts[i], options, settings).ids)
          << recipe << " " << i;
    }
  }
}

TEST_F(Scheduler, SequencesThatRunTogetherSharePrefixes) {
  const auto model = open_model("w4a4kv4-stamp");
  const SchedulerOptions settings{.prefill_chunk = 64};
  BatchScheduler scheduler(*model, {}, settings);
  const Ids prompt = random_ids(200, 3);
  Outcome& first = add(scheduler, prompt, {.max_new_tokens = 4});
  Outcome& second = add(scheduler, prompt, {.max_new_tokens = 4});
  run(scheduler);
  EXPECT_EQ(first.end->reused_tokens + second.end->reused_tokens, 192);
  EXPECT_EQ(first.ids, second.ids);
  EXPECT_EQ(first.ids, alone(*model, prompt, {.max_new_tokens = 4}, settings).ids);
}

TEST_F(Scheduler, PagesOfGeneratedTextAreReusedOnDemand) {
  const auto model = open_model("w4a8kv4-stamp");
  BatchScheduler scheduler(*model, {}, {.prefix_reuse = PrefixReuse::kPages});
  const Ids prompt = random_ids(70, 4);
  Outcome& first = add(scheduler, prompt, {.max_new_tokens = 70});
  run(scheduler);
  Ids next = prompt;
  next.insert(next.end(), first.ids.begin(), first.ids.end());
  Outcome& second = add(scheduler, next, {.max_new_tokens = 4});
  run(scheduler);
  EXPECT_EQ(second.end->reused_tokens, 128);
}

TEST_F(Scheduler, PrefixesStayWithinTheirMemory) {
  const auto model = open_model("w4a4kv4-stamp");
  int64_t page = 0;
  {
    BatchScheduler probe(*model, {}, {.prefill_chunk = 64});
    add(probe, random_ids(65, 1), {.max_new_tokens = 1});
    run(probe);
    page = probe.stats().prefix_bytes;
    ASSERT_EQ(probe.stats().prefix_pages, 1);
  }
  const int64_t most = 3 * page + page / 2;
  BatchScheduler scheduler(*model, {}, {.prefill_chunk = 64, .prefix_bytes = most});
  const auto reused = [&](uint64_t seed) {
    Outcome& outcome = add(scheduler, random_ids(129, seed), {.max_new_tokens = 1});
    run(scheduler);
    EXPECT_LE(scheduler.stats().prefix_bytes, most);
    return outcome.end->reused_tokens;
  };
  EXPECT_EQ(reused(1), 0);
  EXPECT_EQ(reused(2), 0);   // the last page of the first prompt goes
  EXPECT_EQ(reused(1), 64);  // its first one stayed, and the other's last page went
  EXPECT_EQ(reused(2), 64);
  EXPECT_EQ(scheduler.stats().prefix_pages, 3);
}

TEST_F(Scheduler, CancellationFreesEverything) {
  const auto model = open_model("w4a4kv4-stamp");
  BatchScheduler scheduler(*model, {}, {.max_sequences = 2, .prefix_reuse = PrefixReuse::kOff});
  Outcome& running = add(scheduler, random_ids(130, 1), {.max_new_tokens = 100});
  Outcome& other = add(scheduler, random_ids(20, 2), {.max_new_tokens = 10});
  Outcome& waiting = add(scheduler, random_ids(20, 3), {.max_new_tokens = 10});
  for (int i = 0; i < 4; ++i) scheduler.step();
  EXPECT_EQ(scheduler.stats().waiting, 1);
  const int64_t before = scheduler.stats().cache_bytes;
  *running.cancelled = true;
  *waiting.cancelled = true;
  scheduler.step();
  EXPECT_EQ(running.end->reason, FinishReason::kCancelled);
  EXPECT_EQ(waiting.end->reason, FinishReason::kCancelled);
  EXPECT_EQ(waiting.end->generated_tokens, 0);
  EXPECT_EQ(scheduler.stats().running, 1);
  EXPECT_LT(scheduler.stats().cache_bytes, before);
  run(scheduler);
  EXPECT_EQ(other.end->reason, FinishReason::kLength);
  EXPECT_EQ(scheduler.stats().cache_bytes, 0);
}

TEST_F(Scheduler, DeadlinesEndWhatIsLate) {
  const auto model = open_model("bf16");
  BatchScheduler scheduler(*model, {}, {});
  std::optional<SequenceEnd> end;
  scheduler.add({.prompt = {1, 2},
                 .deadline = SequenceRequest::Clock::now(),
                 .on_end = [&](const SequenceEnd& e) { end = e; }});
  EXPECT_FALSE(scheduler.step());
  EXPECT_EQ(end->reason, FinishReason::kTimeout);
}

TEST_F(Scheduler, LongPromptsDoNotHoldUpOthers) {
  const auto model = open_model("w4a8kv4-stamp");
  BatchScheduler scheduler(*model, {}, {.prefill_chunk = 64});
  Outcome& talking = add(scheduler, {1, 2, 3}, {.max_new_tokens = 30});
  scheduler.step();
  std::vector<Outcome*> prompts;
  for (uint64_t i = 0; i < 3; ++i)
    prompts.push_back(&add(scheduler, random_ids(200, i), {.max_new_tokens = 2}));
  Outcome& last = add(scheduler, {5, 6, 7}, {.max_new_tokens = 2});
  run(scheduler);
  // A token in every step, whatever else is computed.
  for (size_t i = 1; i < talking.steps.size(); ++i)
    EXPECT_EQ(talking.steps[i], talking.steps[i - 1] + 1);
  // The prompts take turns: the short one that came last is done before the long ones.
  for (const Outcome* prompt : prompts) EXPECT_LT(last.steps.front(), prompt->steps.front());
}

TEST_F(Scheduler, StopIdsAndCallersEndSequences) {
  const auto model = open_model("bf16");
  BatchScheduler scheduler(*model, {}, {});
  const Ids all = alone(*model, {3, 1, 4}, {.max_new_tokens = 12}, {}).ids;
  const Outcome& stopped = add(scheduler, {3, 1, 4}, {.max_new_tokens = 12, .stop_ids = {all[2]}});
  run(scheduler);
  EXPECT_EQ(stopped.end->reason, FinishReason::kStop);
  EXPECT_TRUE(stopped.tokens.back().stops);
  const auto length = std::find(all.begin(), all.end(), all[2]) - all.begin() + 1;
  EXPECT_EQ(stopped.ids, Ids(all.begin(), all.begin() + length));
  int count = 0;
  std::optional<SequenceEnd> end;
  scheduler.add({.prompt = {3, 1, 4},
                 .generate = {.max_new_tokens = 12},
                 .on_token = [&](const GeneratedToken&) { return ++count < 3; },
                 .on_end = [&](const SequenceEnd& e) { end = e; }});
  run(scheduler);
  EXPECT_EQ(count, 3);
  EXPECT_EQ(end->reason, FinishReason::kStop);
}

TEST_F(Scheduler, ReportsProbabilities) {
  const auto model = open_model("bf16");
  BatchScheduler scheduler(*model, {}, {});
  const Outcome& outcome = add(scheduler, {3, 1, 4}, {.max_new_tokens = 3}, 64);
  run(scheduler);
  EXPECT_EQ(outcome.tokens.size(), 3u);
  for (const GeneratedToken& token : outcome.tokens) {
    ASSERT_EQ(token.top.size(), 64u);
    EXPECT_EQ(token.id, token.top[0].id);  // greedy
    EXPECT_EQ(token.log_probability, token.top[0].value);
    double sum = 0;
    for (size_t i = 0; i < token.top.size(); ++i) {
      sum += std::exp(token.top[i].value);
      EXPECT_LE(token.top[i].value, token.top[i > 0 ? i - 1 : 0].value);
    }
    EXPECT_NEAR(sum, 1, 1e-5);
  }
}

TEST_F(Scheduler, BadSamplingFailsItsOwnSequenceOnly) {
  const auto model = open_model("bf16");
  BatchScheduler scheduler(*model, {}, {});
  const Outcome& bad = add(scheduler, {1, 2}, {.sampling = {.temperature = -1}});
  const Outcome& good = add(scheduler, {1, 2}, {.max_new_tokens = 3});
  run(scheduler);
  EXPECT_EQ(bad.end->reason, FinishReason::kFailed);
  EXPECT_NE(bad.end->error.find("temperature"), std::string::npos);
  EXPECT_EQ(good.ids.size(), 3u);
}

TEST_F(Scheduler, ChecksPromptsAndOptions) {
  const auto model = open_model("bf16");
  const auto check = [&](Ids prompt) {
    BatchScheduler::check({.prompt = std::move(prompt)}, model->config());
  };
  EXPECT_NO_THROW(check(Ids(255, 1)));
  EXPECT_THROW(check({}), std::invalid_argument);
  EXPECT_THROW(check(Ids(256, 1)), std::invalid_argument);
  EXPECT_THROW(check({64}), std::invalid_argument);
  EXPECT_THROW(check({-1}), std::invalid_argument);
  EXPECT_THROW(BatchScheduler(*model, {}, {.max_sequences = 0}), std::invalid_argument);
  EXPECT_THROW(BatchScheduler(*model, {}, {.prefill_chunk = 100}), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
