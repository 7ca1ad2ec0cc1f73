// Several sequences in one pass: each gets the bits that it gets alone.
#include <gtest/gtest.h>

#include <cstring>

#include "stamp/core/rng.h"
#include "stamp/models/model.h"

namespace stamp {
namespace {

std::shared_ptr<const ModelSource> open(const std::string& family) {
  return ModelSource::open(std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm" / family /
                           "ckpt");
}

std::vector<int32_t> random_ids(size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<int32_t> ids(count);
  for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(64));
  return ids;
}

bool same_bits(ConstFloatView a, ConstFloatView b) {
  if (a.rows != b.rows || a.cols != b.cols) return false;
  for (int64_t i = 0; i < a.rows; ++i)
    if (std::memcmp(a.row(i), b.row(i), static_cast<size_t>(a.cols) * sizeof(float)) != 0)
      return false;
  return true;
}

/// Sequences of many lengths, computed piece by piece: each alone, and all in shared passes.
void compare(const Model& model, size_t sequences) {
  std::vector<std::vector<int32_t>> texts;
  for (size_t i = 0; i < sequences; ++i) texts.push_back(random_ids(90 + 7 * i, i));
  std::vector<KvCache> alone, together;
  for (size_t i = 0; i < sequences; ++i) {
    alone.push_back(model.make_cache(250));
    together.push_back(model.make_cache(250));
  }
  ForwardContext context;
  // Prompts of 1, 9, ... tokens, then single tokens beside the prompts of others.
  for (int round = 0; round < 6; ++round) {
    std::vector<SequenceChunk> chunks;
    std::vector<Matrix> want;
    for (size_t i = 0; i < sequences; ++i) {
      const auto begin = static_cast<size_t>(alone[i].tokens());
      const size_t count = round == static_cast<int>(i % 3) ? 1 + 8 * i % 75 : 1;
      const std::span<const int32_t> ids = std::span(texts[i]).subspan(begin, count);
      want.push_back(model.forward(ids, alone[i], context));
      chunks.push_back({ids, &together[i]});
    }
    const Matrix got = model.forward_all(chunks, context);
    int64_t row = 0;
    for (size_t i = 0; i < sequences; ++i) {
      EXPECT_EQ(together[i].tokens(), alone[i].tokens());
      EXPECT_TRUE(same_bits(got.view().rows_from(row, want[i].rows()), want[i].view()))
          << "round " << round << ", sequence " << i;
      row += want[i].rows();
    }
    Matrix all(got.rows(), model.config().vocab_size), one(1, model.config().vocab_size);
    model.logits_of_each(got.view(), all.view(), context);
    for (int64_t i = 0; i < got.rows(); ++i) {
      model.logits(got.view().rows_from(i, 1), one.view(), context);
      ASSERT_TRUE(same_bits(all.view().rows_from(i, 1), one.view())) << "logits " << i;
    }
  }
}

TEST(Batch, EveryPresetGivesTheBitsOfSequencesAlone) {
  for (const std::string& name : preset_names()) {
    const Recipe recipe = load_recipe(name);
    if (recipe.needs_calibration() || recipe.needs_weight_calibration()) continue;
    SCOPED_TRACE(name);
    compare(*make_model(open("llama"), {.recipe = recipe}), 5);
  }
}

TEST(Batch, OtherTransformsGiveTheBitsOfSequencesAlone) {
  for (const char* transform : {"dct", "wht", "db4"}) {
    SCOPED_TRACE(transform);
    Recipe recipe = load_recipe("w4a4kv4-stamp");
    recipe.activations.sequence.transform = transform;
    compare(*make_model(open("llama"), {.recipe = recipe}), 4);
  }
}

TEST(Batch, ManySequencesGiveTheBitsOfSequencesAlone) {
  for (const char* name : {"bf16", "w4a8kv4-stamp"})
    compare(*make_model(open("qwen2"), {.recipe = load_recipe(name)}), 13);
}

TEST(Batch, SimulatedExecutionGivesTheBitsOfSequencesAlone) {
  compare(*make_model(open("llama"),
                      {.recipe = load_recipe("w4a4kv4-stamp"), .execution = Execution::kSimulated}),
          5);
}

TEST(Batch, RefusesWhatCannotWorkAndChangesNothing) {
  const auto model = make_model(open("llama"));
  ForwardContext context;
  KvCache first = model->make_cache(8), second = model->make_cache(2);
  const std::vector<int32_t> ids = {1, 2, 3};
  const auto run = [&](std::vector<SequenceChunk> chunks) { model->forward_all(chunks, context); };
  EXPECT_THROW(run({{ids, &first}, {ids, &second}}), std::invalid_argument);
  EXPECT_THROW(run({{ids, &first}, {ids, &first}}), std::invalid_argument);
  EXPECT_THROW(run({{ids, &first}, {{}, &second}}), std::invalid_argument);
  EXPECT_EQ(first.tokens(), 0);
  EXPECT_EQ(first.layer(0).tokens, 0);
}

}  // namespace
}  // namespace stamp
