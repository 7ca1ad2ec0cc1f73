#include <gtest/gtest.h>

#include "stamp/pipelines/generate.h"

namespace stamp {
namespace {

using Ids = std::vector<int32_t>;

class Session : public testing::Test {
 protected:
  std::unique_ptr<Model> model = make_model(
      ModelSource::open(std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm/llama/ckpt"));
  ForwardContext context;
  Rng rng{0};
};

TEST_F(Session, GoesOnAsIfAllHadBeenOnePrompt) {
  const Ids first = {3, 1, 4, 1, 5, 9, 2, 6}, second = {5, 3, 5};
  TokenSession session(*model, 100);
  session.append(first);
  const Ids answer = session.generate({.max_new_tokens = 7}, rng, context);
  EXPECT_EQ(answer, generate_ids(*model, first, {.max_new_tokens = 7}, context));
  // The last token was drawn but not computed.
  EXPECT_EQ(session.cached(), static_cast<int64_t>(first.size() + answer.size()) - 1);
  session.append(second);
  const Ids all = session.ids();
  EXPECT_EQ(all.size(), first.size() + answer.size() + second.size());
  const Ids next = session.generate({.max_new_tokens = 5}, rng, context);
  EXPECT_EQ(next, generate_ids(*model, all, {.max_new_tokens = 5}, context));
}

TEST_F(Session, EndsWhenItIsFull) {
  TokenSession session(*model, 10);
  EXPECT_THROW(session.append(Ids(11, 1)), std::invalid_argument);
  EXPECT_EQ(session.room(), 10);
  session.append(Ids(8, 1));
  EXPECT_EQ(session.generate({.max_new_tokens = 50}, rng, context).size(), 2u);
  EXPECT_EQ(session.room(), 0);
  EXPECT_EQ(session.generate({.max_new_tokens = 50}, rng, context).size(), 0u);
}

TEST_F(Session, ForgetsEverythingWhenCleared) {
  TokenSession session(*model, 20);
  session.append(Ids{7, 7, 7});
  const Ids answer = session.generate({.max_new_tokens = 4}, rng, context);
  session.clear();
  EXPECT_EQ(session.cached(), 0);
  EXPECT_THROW(session.generate({}, rng, context), std::invalid_argument);
  session.append(Ids{7, 7, 7});
  EXPECT_EQ(session.generate({.max_new_tokens = 4}, rng, context), answer);
}

TEST_F(Session, RefusesCapacitiesOutOfRange) {
  EXPECT_THROW(TokenSession(*model, 0), std::invalid_argument);
  EXPECT_THROW(TokenSession(*model, model->config().max_positions + 1), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
