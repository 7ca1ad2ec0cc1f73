#include "stamp/pipelines/serving/engine.h"

#include <gtest/gtest.h>

#include <future>

namespace stamp {
namespace {

class EngineTest : public testing::Test {
 protected:
  std::unique_ptr<Model> model = make_model(
      ModelSource::open(std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm/llama/ckpt"));

  /// A request whose end arrives in the future, with the tokens.
  struct Pending {
    std::shared_ptr<std::promise<SequenceEnd>> end = std::make_shared<std::promise<SequenceEnd>>();
    std::shared_ptr<std::vector<int32_t>> ids = std::make_shared<std::vector<int32_t>>();
    SequenceRequest request(std::vector<int32_t> prompt, int64_t tokens) const {
      return {.prompt = std::move(prompt),
              .generate = {.max_new_tokens = tokens},
              .on_token =
                  [own = ids](const GeneratedToken& token) {
                    own->push_back(token.id);
                    return true;
                  },
              .on_end = [own = end](const SequenceEnd& e) { own->set_value(e); }};
    }
  };
};

TEST_F(EngineTest, AnswersFromManyThreads) {
  Engine engine(*model, {}, {.max_sequences = 3}, 100);
  std::vector<std::thread> threads;
  for (int32_t i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      Pending pending;
      ASSERT_TRUE(engine.submit({pending.request({1, i, 5}, 10)}));
      EXPECT_EQ(pending.end->get_future().get().reason, FinishReason::kLength);
      EXPECT_EQ(pending.ids->size(), 10u);
    });
  for (std::thread& thread : threads) thread.join();
  Pending pending;
  ASSERT_TRUE(engine.submit({pending.request({1, 4, 5}, 10)}));
  pending.end->get_future().get();
  ForwardContext context;
  EXPECT_EQ(*pending.ids,
            generate_ids(*model, std::vector<int32_t>{1, 4, 5}, {.max_new_tokens = 10}, context));
}

TEST_F(EngineTest, RefusesWhatDoesNotFitInLine) {
  Pending a, b, c;
  std::promise<void> go;
  Engine engine(*model, {}, {.max_sequences = 1}, 1);
  EXPECT_FALSE(engine.submit({a.request({1}, 1), b.request({1}, 1), c.request({1}, 1)}));
  const auto wait = go.get_future().share();
  SequenceRequest slow = a.request({1}, 200);
  slow.on_token = [wait](const GeneratedToken&) {
    wait.wait();
    return true;
  };
  ASSERT_TRUE(engine.submit({slow}));
  ASSERT_TRUE(engine.submit({b.request({1}, 1)}));
  EXPECT_FALSE(engine.submit({c.request({1}, 1)}));
  EXPECT_FALSE(engine.idle());
  engine.cancel_all();
  go.set_value();
  EXPECT_EQ(a.end->get_future().get().reason, FinishReason::kCancelled);
  EXPECT_EQ(b.end->get_future().get().reason, FinishReason::kCancelled);
}

TEST_F(EngineTest, CancelsWhatIsLeftAtItsEnd) {
  Pending pending;
  {
    Engine engine(*model, {}, {}, 10);
    ASSERT_TRUE(engine.submit({pending.request({1, 2, 3}, 250)}));
  }
  const SequenceEnd end = pending.end->get_future().get();
  EXPECT_TRUE(end.reason == FinishReason::kCancelled || end.reason == FinishReason::kLength);
}

}  // namespace
}  // namespace stamp
