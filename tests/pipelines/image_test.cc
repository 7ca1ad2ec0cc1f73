#include "stamp/pipelines/image.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "stamp/io/json.h"
#include "stamp/io/safetensors.h"
#include "stamp/pipelines/decode_image.h"
#include "stamp/pipelines/image_bench.h"
#include "stamp/pipelines/image_calibrate.h"
#include "stamp/pipelines/image_compare.h"
#include "stamp/pipelines/image_run.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

const fs::path kPipeline = fs::path(STAMP_SOURCE_DIR) / "tests/data/oracles/pipe/pixart_words/ckpt";

ImageOptions small_options(const fs::path& pipeline = kPipeline) {
  return {.pipeline = pipeline, .prompts = {"a red ball"}, .width = 16, .height = 24, .steps = 2};
}

std::vector<GeneratedImage> draw(const ImageOptions& options) {
  std::vector<GeneratedImage> images;
  generate_images(options, plan_images(options),
                  [&](size_t, GeneratedImage& image) { images.push_back(std::move(image)); });
  return images;
}

TEST(Image, DrawsWhatWasAskedFor) {
  ImageOptions options = small_options();
  options.prompts = {"a red ball", "a red ball", "ball"};
  const auto images = draw(options);
  ASSERT_EQ(images.size(), 3u);
  EXPECT_EQ(images[0].pixels.height, 24);
  EXPECT_EQ(images[0].pixels.width, 16);
  EXPECT_EQ(images[1].seed, 1u);
  options.prompts = {"a red ball"};
  EXPECT_EQ(image_sqnr(images[0].pixels, draw(options)[0].pixels),
            std::numeric_limits<double>::infinity());
  options.seed = 1;
  EXPECT_EQ(image_sqnr(images[1].pixels, draw(options)[0].pixels),
            std::numeric_limits<double>::infinity());
  EXPECT_LT(image_sqnr(images[0].pixels, images[1].pixels), 20);
}

TEST(Image, SizeDefaultsToTheModels) {
  ImageOptions options = small_options();
  options.width = options.height = 0;
  const ImagePlan plan = plan_images(options);
  EXPECT_EQ(plan.width, 16);  // sample_size 8, factor 2
  EXPECT_EQ(plan.tokens, 16);
  EXPECT_GT(plan.peak_bytes(), 0);
  EXPECT_NE(to_text(plan).find("PixArtSigmaPipeline"), std::string::npos);
}

template <class Change>
void expect_refused(Change&& change) {
  ImageOptions options = small_options();
  change(options);
  EXPECT_THROW(
      {
        const ImagePlan plan = plan_images(options);
        generate_images(options, plan, [](size_t, GeneratedImage&) {});
      },
      std::invalid_argument);
}

TEST(Image, RefusesAbsurdOptions) {
  expect_refused([](ImageOptions& o) { o.width = 17; });
  expect_refused([](ImageOptions& o) { o.width = -16; });
  expect_refused([](ImageOptions& o) { o.width = int64_t{1} << 40; });
  expect_refused([](ImageOptions& o) { o.width = o.height = 16384; });
  expect_refused([](ImageOptions& o) { o.steps = 0; });
  expect_refused([](ImageOptions& o) { o.steps = 100000; });
  expect_refused([](ImageOptions& o) { o.guidance = std::nan(""); });
  expect_refused([](ImageOptions& o) { o.prompts.clear(); });
  expect_refused([](ImageOptions& o) { o.prompts = {"\xff\xfe"}; });
  expect_refused([](ImageOptions& o) { o.max_tokens = 0; });
  expect_refused([](ImageOptions& o) { o.tile = 2; });
}

/// A copy of the pipeline that may be spoiled.
class SpoiledPipeline : public testing::Test {
 protected:
  void SetUp() override { fs::copy(kPipeline, root(), fs::copy_options::recursive); }
  fs::path root() const { return directory_.path() / "pipeline"; }
  std::string error() const {
    return runtime_error_of([&] { draw(small_options(root())); });
  }
  void change_json(const std::string& file, const Json& patch) const {
    Json json = read_json(root() / file);
    json.merge_patch(patch);
    write_file_atomically(root() / file, json.dump());
  }
  /// Puts `value` into a tensor of a file.
  void change_weight(const std::string& file, const std::string& tensor, float value) const {
    const fs::path path = root() / file;
    {
      const Safetensors original = Safetensors::open(path);
      std::map<std::string, TensorView> tensors = original.tensors();
      TensorView& view = tensors.at(tensor);
      std::vector<float> values(view.as<float>(), view.as<float>() + view.size());
      values.back() = value;
      view.data = values.data();
      write_safetensors(path.string() + ".new", tensors);
    }
    fs::rename(path.string() + ".new", path);
  }

 private:
  TempDirectory directory_;
};

TEST_F(SpoiledPipeline, MissingParts) {
  EXPECT_HAS(runtime_error_of([] { draw(small_options("/no/such/folder")); }), "no such folder");
  fs::remove_all(root() / "vae");
  EXPECT_HAS(error(), "'vae' is missing");
  fs::remove(root() / "model_index.json");
  EXPECT_HAS(error(), "model_index.json");
}

TEST_F(SpoiledPipeline, WrongClasses) {
  change_json("model_index.json", {{"_class_name", "FluxPipeline"}});
  EXPECT_HAS(error(), "FluxPipeline");
  change_json("model_index.json", {{"_class_name", "PixArtSigmaPipeline"}});
  change_json("transformer/config.json", {{"_class_name", "UNet2DConditionModel"}});
  EXPECT_HAS(error(), "UNet2DConditionModel");
}

TEST_F(SpoiledPipeline, ConfigsThatDoNotFitTheWeights) {
  change_json("transformer/config.json", {{"attention_head_dim", 16}});
  EXPECT_HAS(error(), "cross_attention_dim");
  change_json("transformer/config.json", {{"attention_head_dim", 8}, {"num_layers", 2}});
  EXPECT_HAS(error(), "there is no tensor");
}

TEST_F(SpoiledPipeline, WeightsThatAreNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::string transformer = "transformer/diffusion_pytorch_model.safetensors";
  change_weight(transformer, "transformer_blocks.0.ff.net.2.weight", nan);
  EXPECT_HAS(error(), "transformer_blocks.0.ff.net.2.weight");
  change_weight(transformer, "transformer_blocks.0.ff.net.2.weight", 0);
  change_weight("vae/diffusion_pytorch_model.safetensors", "decoder.conv_out.bias", nan);
  EXPECT_HAS(error(), "decoder.conv_out.bias");
  change_weight("text_encoder/model.safetensors",
                "encoder.block.0.layer.1.DenseReluDense.wo.weight", nan);
  EXPECT_HAS(error(), "DenseReluDense.wo.weight");
}

TEST(Image, TilesAgreeNearly) {
  const ImageOptions options = small_options();
  const ImagePlan plan = plan_images(options);
  const auto autoencoder = open_autoencoder(plan.directory.part("vae"));
  ForwardContext context;
  const PixelMap latents = initial_noise(3, 4, 20, 28);
  const PixelMap whole = decode_latents(*autoencoder, latents, context);
  EXPECT_GT(image_sqnr(whole, decode_tiled(*autoencoder, latents, 64, context)), 100);
  EXPECT_GT(image_sqnr(whole, decode_tiled(*autoencoder, latents, 16, context)), 3);
}

TEST(ImageCompare, AnUnquantizedRecipeIsTheReference) {
  const TempDirectory dir;
  Recipe plain, fine;
  plain.name = "nothing";
  fine.name = "fine";
  fine.activations.bits = 8;
  const auto write = [&](const Recipe& recipe) {
    return dir.write(recipe.name + ".json", to_json(recipe).dump()).string();
  };
  const ImageComparison result = compare_images(
      {.image = small_options(), .recipes = {write(plain), write(fine)}, .teacher_prompts = 1});
  ASSERT_EQ(result.rows.size(), 2u);
  EXPECT_TRUE(std::isinf(result.rows[0].scores[0].sqnr));
  EXPECT_EQ(result.rows[0].bits, 16);
  EXPECT_GT(result.rows[1].scores[0].sqnr, 10);
  EXPECT_LT(result.rows[1].scores[0].sqnr, 80);
  ASSERT_EQ(result.rows[1].step_sqnr.size(), 2u);
  EXPECT_GT(result.rows[1].step_sqnr[0], 15);
  EXPECT_NE(to_text(result).find("fine"), std::string::npos);
  EXPECT_EQ(to_json(result).at("rows").size(), 2u);
}

TEST(ImageCalibrate, GathersEveryQuantizedInput) {
  Recipe recipe;
  recipe.name = "waterfilled";
  recipe.feature = "hadamard";
  recipe.activations.bits = 4;
  recipe.activations.sequence.transform = "haar";
  recipe.activations.plan = {.kind = "waterfill", .high_tokens = 8};
  ImageOptions options = small_options();
  const ImagePlan plan = plan_images(options);
  EXPECT_HAS(runtime_error_of([&] { image_calibration(options, plan, recipe, {}, {}); }),
             "needs calibration");
  const TempDirectory dir;
  const fs::path file = dir.path() / "statistics.safetensors";
  const Calibration made = image_calibration(options, plan, recipe, file, {"ball"});
  EXPECT_EQ(made.size(), 6u);  // one layer: q/k/v, output, cross q, cross output, up, down
  for (const auto& [site, statistics] : made)
    EXPECT_EQ(statistics.range2.size(), 24u) << site;  // tokens
  const Calibration read = image_calibration(options, plan, recipe, file, {});
  EXPECT_EQ(read.at("blocks.0.ff_in").range2, made.at("blocks.0.ff_in").range2);
  options.recipe = recipe;
  options.calibration = &read;
  EXPECT_EQ(draw(options).size(), 1u);
}

TEST(ImageCompare, TheGridSpendsEqualBits) {
  const std::vector<ImageCompareRow> rows = image_compare_grid(64);
  ASSERT_EQ(rows.size(), 12u);
  for (const ImageCompareRow& row : rows) {
    EXPECT_NO_THROW(check(row.recipe)) << row.label;
    if (row.baseline < 0) continue;
    const Recipe& base = rows[static_cast<size_t>(row.baseline)].recipe;
    EXPECT_EQ(base.feature, row.recipe.feature);
    EXPECT_EQ(base.weights.bits, row.recipe.weights.bits);
    const TokenQuantizer with(row.recipe.activations), without(base.activations);
    EXPECT_NEAR(with.count_bits(1024, 128).average(), without.count_bits(1024, 128).average(),
                1e-9);
  }
}

TEST(ImageBench, TakesAStepOfEveryFamily) {
  Recipe quantized;
  quantized.name = "w4a8";
  quantized.weights.bits = 4;
  quantized.activations.bits = 8;
  for (const char* shape : {"tiny-pixart", "tiny-sana"}) {
    const ImageBenchOptions options{.shape = shape, .recipes = {Recipe{}, quantized}, .runs = 1};
    const ImageBenchResult result = bench_image_step(options);
    ASSERT_EQ(result.sides.size(), 2u);
    EXPECT_EQ(result.sides[1].step_seconds.size(), 1u);
    EXPECT_FALSE(result.sides[1].simulated);
    EXPECT_LT(result.sides[1].weight_bytes, result.sides[0].weight_bytes);
    EXPECT_NE(to_text(result, options).find(shape), std::string::npos);
  }
  EXPECT_THROW(bench_image_step({.shape = "none", .recipes = {Recipe{}}}), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
