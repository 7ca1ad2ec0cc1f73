#include "stamp/pipelines/generate.h"

#include <gtest/gtest.h>

#include "stamp/io/safetensors.h"

namespace stamp {
namespace {

class Generate : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path folder =
      std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/llm" / GetParam();
  Safetensors oracle = Safetensors::open(folder / "oracle.safetensors");
  std::unique_ptr<Model> model = make_model(ModelSource::open(folder / "ckpt"));
  ForwardContext context;

  std::vector<int32_t> ids(const std::string& name) {
    const TensorView& tensor = oracle.at(name);
    return {tensor.as<int64_t>(), tensor.as<int64_t>() + tensor.size()};
  }
};

TEST_P(Generate, GreedyAsTransformers) {
  GenerateOptions options{.max_new_tokens = 12};
  EXPECT_EQ(generate_ids(*model, ids("prompt_ids"), options, context), ids("greedy_ids"));
  options.sampling.repetition_penalty = 1.3;
  EXPECT_EQ(generate_ids(*model, ids("prompt_ids"), options, context), ids("reppen13_ids"));
}

TEST_P(Generate, StopIdIsPartOfTheResult) {
  auto want = ids("greedy_ids");
  GenerateOptions options{.max_new_tokens = 12, .stop_ids = {want[4]}};
  want.resize(static_cast<size_t>(std::find(want.begin(), want.end(), want[4]) - want.begin()) + 1);
  EXPECT_EQ(generate_ids(*model, ids("prompt_ids"), options, context), want);
}

TEST_P(Generate, CallbackSeesEveryTokenAndEndsIt) {
  const auto want = ids("greedy_ids");
  std::vector<int32_t> seen;
  const auto got = generate_ids(*model, ids("prompt_ids"), {.max_new_tokens = 12}, context,
                                [&](const GeneratedToken& token) {
                                  seen.push_back(token.id);
                                  return seen.size() < 3;
                                });
  EXPECT_EQ(got, (std::vector<int32_t>{want[0], want[1], want[2]}));
  EXPECT_EQ(seen, got);
}

TEST_P(Generate, SameSeedSameText) {
  const GenerateOptions options{.sampling = {.temperature = 1.0}, .max_new_tokens = 20, .seed = 3};
  const auto first = generate_ids(*model, ids("prompt_ids"), options, context);
  EXPECT_EQ(first, generate_ids(*model, ids("prompt_ids"), options, context));
  GenerateOptions other = options;
  other.seed = 4;
  EXPECT_NE(first, generate_ids(*model, ids("prompt_ids"), other, context));
}

TEST_P(Generate, EndsAtTheModelsLength) {
  const std::vector<int32_t> prompt(250, 5);
  EXPECT_EQ(generate_ids(*model, prompt, {.max_new_tokens = 100}, context).size(), 6u);
  EXPECT_EQ(
      generate_ids(*model, std::vector<int32_t>(256, 5), {.max_new_tokens = 100}, context).size(),
      0u);
  EXPECT_EQ(generate_ids(*model, prompt, {.max_new_tokens = 0}, context).size(), 0u);
}

TEST_P(Generate, EveryPresetThatNeedsNoStatisticsTakesShortPrompts) {
  for (const std::string& name : preset_names()) {
    const Recipe recipe = load_recipe(name);
    if (recipe.needs_calibration() || recipe.needs_weight_calibration()) continue;
    const auto quantized = make_model(ModelSource::open(folder / "ckpt"), {.recipe = recipe});
    for (const size_t length : {1, 2, 63, 64, 65}) {
      const std::vector<int32_t> prompt(length, 5);
      EXPECT_EQ(generate_ids(*quantized, prompt, {.max_new_tokens = 3}, context).size(), 3u)
          << name << " " << length;
    }
  }
}

TEST_P(Generate, RejectsWhatCannotWork) {
  EXPECT_THROW(generate_ids(*model, {}, {}, context), std::invalid_argument);
  EXPECT_THROW(generate_ids(*model, std::vector<int32_t>(257, 5), {}, context),
               std::invalid_argument);
  EXPECT_THROW(generate_ids(*model, ids("prompt_ids"), {.max_new_tokens = -1}, context),
               std::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(Llm, Generate, testing::Values("llama", "qwen2"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace stamp
