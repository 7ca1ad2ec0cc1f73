#include "stamp/pipelines/bench.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "stamp/pipelines/bench_runner.h"
#include "stamp/pipelines/synthetic_model.h"

namespace stamp {
namespace {

BenchOptions tiny(std::vector<std::string> recipes) {
  BenchOptions options{.shape = "tiny", .runs = 2};
  for (const std::string& name : recipes) options.recipes.push_back(load_recipe(name));
  return options;
}

std::filesystem::path new_directory(const std::string& name) {
  const auto path = std::filesystem::path(testing::TempDir()) / name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

TEST(SyntheticModel, IsADirectoryThatServesItsRecipe) {
  const Recipe recipe = load_recipe("w4a4kv4-stamp");
  const auto directory = new_directory("synthetic"), again = new_directory("synthetic-again");
  write_synthetic_model(shape_config("tiny"), recipe, directory);
  write_synthetic_model(shape_config("tiny"), recipe, again);
  EXPECT_EQ(read_text(directory / "model.safetensors"), read_text(again / "model.safetensors"));
  const auto source = ModelSource::open(directory);
  ASSERT_NE(source->stored_recipe(), nullptr);
  EXPECT_EQ(to_json(*source->stored_recipe()), to_json(recipe));
  const auto model = make_model(source, {.recipe = recipe});
  EXPECT_FALSE(model->simulated());
  KvCache cache = model->make_cache(128);
  ForwardContext context;
  const std::vector<int32_t> ids(100, 7);
  const Matrix hidden = model->forward(ids, cache, context);
  double energy = 0;
  for (int64_t j = 0; j < hidden.cols(); ++j) energy += std::pow(hidden(99, j), 2);
  EXPECT_NEAR(energy / static_cast<double>(hidden.cols()), 1, 0.1);  // normed, finite, not zero
}

TEST(SyntheticModel, RejectsWhatItCannotMake) {
  EXPECT_THROW(shape_config("llama-9"), std::invalid_argument);
  const auto directory = new_directory("synthetic-rejected");
  EXPECT_THROW(
      write_synthetic_model(shape_config("tiny"), load_recipe("w4a4kv4-stamp-wf"), directory),
      std::invalid_argument);
  EXPECT_THROW(write_synthetic_model({{"hidden_size", 64}}, {}, directory), std::runtime_error);
}

TEST(SyntheticModel, KnowsEveryShape) {
  for (const std::string& name : shape_names()) {
    const auto directory = new_directory("shape-" + name);
    write_file_atomically(directory / "config.json", shape_config(name).dump());
    EXPECT_EQ(read_llm_config(directory).heads % read_llm_config(directory).kv_heads, 0) << name;
  }
}

TEST(Bench, MeasuresEveryRunOfTwoRecipesInTurns) {
  BenchOptions options = tiny({"w4a4kv4", "w4a4kv4-stamp"});
  options.prefill = 96;
  options.decode = 3;
  options.depth = 200;
  const BenchResult result = bench(options);
  ASSERT_EQ(result.sides.size(), 2u);
  for (const BenchSide& side : result.sides) {
    EXPECT_EQ(side.prefill_seconds.size(), 2u);
    EXPECT_EQ(side.decode_seconds.size(), 6u);
    EXPECT_LE(side.prefill_phases.total(),
              std::accumulate(side.prefill_seconds.begin(), side.prefill_seconds.end(), 0.0));
    EXPECT_GT(side.prefill_phases.total(), 0);
    EXPECT_GT(side.decode_phases.total(), 0);
    EXPECT_GT(side.weight_bytes, 0);
    EXPECT_GT(side.load_seconds, 0);
    EXPECT_GT(side.cache_bytes, 0);
    // 2 layers: q and o 64x64, k and v 32x64, gate, up and down 160x64.
    EXPECT_EQ(side.prefill_operations, 2.0 * 96 * 2 * (2 * 4096 + 2 * 2048 + 3 * 10240));
  }
  EXPECT_EQ(result.read_bandwidth.size(), 3u);
  EXPECT_GT(result.peak.gops, 0);
  EXPECT_GT(result.peak_rss_bytes, 0);
  const Json json = to_json(result, options);
  EXPECT_EQ(json["sides"][1]["recipe"], "w4a4kv4-stamp");
  EXPECT_EQ(json["sides"][0]["decode"]["seconds"].size(), 6u);
  const std::string text = to_text(result, options);
  EXPECT_NE(text.find("time of w4a4kv4-stamp / w4a4kv4, prefill"), std::string::npos) << text;
  EXPECT_NE(text.find("decoding at depth 200"), std::string::npos) << text;
}

TEST(Bench, RunsPlainWeights) {
  BenchOptions options = tiny({"bf16"});
  options.decode = 2;
  const BenchResult result = bench(options);
  EXPECT_FALSE(result.sides[0].simulated);
  EXPECT_TRUE(result.sides[0].prefill_seconds.empty());
  EXPECT_EQ(result.sides[0].decode_seconds.size(), 4u);
}

TEST(Bench, RejectsOptionsThatDoNotFit) {
  EXPECT_THROW(bench(tiny({"bf16"})), std::invalid_argument);  // nothing to measure
  BenchOptions options = tiny({});
  options.prefill = 8;
  EXPECT_THROW(bench(options), std::invalid_argument);
  options.recipes.assign(3, Recipe{});
  EXPECT_THROW(bench(options), std::invalid_argument);
  options.recipes.resize(1);
  options.runs = 0;
  EXPECT_THROW(bench(options), std::invalid_argument);
  options.runs = 1;
  options.prefill = 5000;  // beyond the positions of the shape
  EXPECT_THROW(bench(options), std::invalid_argument);
}

/// Copies of a block are blocks: attention sees a cache of the length asked for.
TEST(Bench, FillsCachesWithCopiesOfABlock) {
  for (const char* name : {"bf16", "w4a4kv4-stamp", "paper-rtn"}) {
    BenchOptions options = tiny({name});
    const auto source = open_bench_source(options, options.recipes[0]);
    const auto model = make_model(source, {.recipe = options.recipes[0]});
    KvCache cache = model->make_cache(1024);
    ForwardContext context;
    const std::vector<int32_t> ids(128, 3);
    model->forward(ids, cache, context);
    const int64_t bytes = cache.bytes();
    repeat_block(cache, model->config().layers, 640);
    EXPECT_EQ(cache.tokens(), 640) << name;
    EXPECT_GE(cache.bytes(), 4 * bytes) << name;
    const Matrix hidden = model->forward({ids.data(), 1}, cache, context);
    EXPECT_TRUE(std::isfinite(hidden(0, 0))) << name;
    EXPECT_EQ(cache.tokens(), 641) << name;
  }
}

TEST(Bench, TimesLinearsOfEncodedInputs) {
  const auto times = bench_linears(load_recipe("w4a8kv4"), 1);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times[0].operations(), 2.0 * 2048 * 2048 * 8192);
  EXPECT_EQ(times[1].operations(), times[0].operations());
  EXPECT_EQ(times[1].seconds.size(), 1u);
  EXPECT_THROW(bench_linears(load_recipe("bf16"), 1), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
