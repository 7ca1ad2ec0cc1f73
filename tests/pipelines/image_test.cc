#include "stamp/pipelines/image.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "stamp/io/json.h"
#include "stamp/io/safetensors.h"
#include "stamp/pipelines/compare_presets.h"
#include "stamp/pipelines/decode_image.h"
#include "stamp/pipelines/image_bench.h"
#include "stamp/pipelines/image_calibrate.h"
#include "stamp/pipelines/image_compare_cache.h"
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

TEST(Image, TheBundledPipelineSurvivesFourBits) {
  ImageOptions options{.pipeline = fs::path(STAMP_SOURCE_DIR) / "demo/image",
                       .prompts = {"red heart on a yellow background"},
                       .steps = 8,
                       .guidance = 3};
  const PixelMap plain = draw(options)[0].pixels;
  ASSERT_EQ(plain.height, 128);
  ASSERT_EQ(plain.width, 128);
  const int64_t corner = 0, middle = 64 * 128 + 64;
  EXPECT_GT(plain.pixels(corner, 1), plain.pixels(corner, 2) + 0.4f);  // yellow: green, not blue
  EXPECT_GT(plain.pixels(middle, 0), plain.pixels(middle, 1) + 0.4f);  // red: not green
  options.recipe = load_recipe("image-w4a4-stamp");
  const double sqnr = image_sqnr(plain, draw(options)[0].pixels);
  EXPECT_GT(sqnr, 12);
  EXPECT_LT(sqnr, 60);
}

TEST(Image, PreviewsComeEverySoManySteps) {
  ImageOptions options = small_options();
  options.prompts = {"a red ball", "ball"};
  options.steps = 5;
  const auto plain = draw(options);
  options.preview = 2;
  std::vector<std::pair<size_t, size_t>> seen;
  generate_images(
      options, plan_images(options),
      [&](size_t index, GeneratedImage& image) {
        EXPECT_EQ(image_sqnr(plain[index].pixels, image.pixels),
                  std::numeric_limits<double>::infinity());
      },
      [&](size_t index, size_t step, const PixelMap& pixels) {
        seen.emplace_back(index, step);
        EXPECT_EQ(pixels.height, 24);
        EXPECT_EQ(pixels.width, 16);
      });
  EXPECT_EQ(seen, (std::vector<std::pair<size_t, size_t>>{{0, 2}, {0, 4}, {1, 2}, {1, 4}}));
}

TEST(Image, AveragedDownKeepsMeans) {
  PixelMap map(3, 5, 2);
  for (int64_t i = 0; i < map.pixels.rows(); ++i) {
    map.pixels(i, 0) = 7;
    map.pixels(i, 1) = static_cast<float>(i % 5);
  }
  const PixelMap small = averaged_down(map, 3);  // squares of 2
  ASSERT_EQ(small.height, 2);
  ASSERT_EQ(small.width, 3);
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(small.pixels(i, 0), 7);
  EXPECT_EQ(small.pixels(0, 1), 0.5f);
  EXPECT_EQ(small.pixels(5, 1), 4.0f);
  EXPECT_EQ(averaged_down(map, 5).width, 5);
  EXPECT_THROW(averaged_down(map, 0), std::invalid_argument);
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

TEST(Image, StaysWithinAMemoryLimit) {
  ImageOptions options = small_options();
  const ImagePlan whole = plan_images(options);
  EXPECT_EQ(plan_images_within(0, options).decode_bytes, whole.decode_bytes);
  EXPECT_EQ(plan_images_within(whole.peak_bytes(), options).decode_bytes, whole.decode_bytes);
  EXPECT_EQ(options.tile, 0);
  EXPECT_HAS(runtime_error_of([&] { plan_images_within(1000, options); }), "more than the limit");
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
  ImageOptions other = options;
  other.prompts.clear();
  EXPECT_HAS(runtime_error_of([&] { ImageCalibrator(other, plan, {}).make(recipe); }),
             "needs calibration");
  const TempDirectory dir;
  other.prompts = {"ball"};
  const Calibration made = ImageCalibrator(other, plan, dir.path()).make(recipe).statistics;
  EXPECT_EQ(made.size(), 6u);  // one layer: q/k/v, output, cross q, cross output, up, down
  for (const auto& [site, statistics] : made)
    EXPECT_EQ(statistics.range2.size(), 24u) << site;  // tokens
  const ImageCalibration read = ImageCalibrator(other, plan, dir.path()).make(recipe);
  EXPECT_EQ(read.statistics.at("blocks.0.ff_in").range2, made.at("blocks.0.ff_in").range2);
  options.recipe = recipe;
  options.calibration = &read;
  EXPECT_EQ(draw(options).size(), 1u);
}

TEST(ImageCalibrate, RefusesWhatImagesDoNotHave) {
  ImageOptions options = small_options();
  const ImagePlan plan = plan_images(options);
  ImageCalibrator calibrator(options, plan, {});
  EXPECT_TRUE(calibrator.make(Recipe{}).statistics.empty());
  Recipe recipe;
  recipe.feature = "flatquant";
  EXPECT_THROW(calibrator.make(recipe), std::invalid_argument);
  recipe.feature = "none";
  recipe.weights = {.bits = 4, .quantizer = "gptq"};
  EXPECT_THROW(calibrator.make(recipe), std::invalid_argument);
}

TEST(ImageCalibrate, InputsSurviveTheirFile) {
  const ImageOptions options = small_options();
  const ImageInputs made = gather_image_inputs(options, plan_images(options));
  const TempDirectory dir;
  const fs::path file = dir.path() / "inputs.safetensors";
  write_image_inputs(file, made);
  const ImageInputs read = read_image_inputs(file);
  ASSERT_EQ(read.size(), made.size());
  for (const auto& [site, own] : made) {
    EXPECT_EQ(read.at(site).peaks, own.peaks);
    // Two steps, guided: all 4 x 24 tokens are within the sample.
    ASSERT_EQ(read.at(site).rows.rows(), 96);
    for (int64_t i = 0; i < own.rows.size(); ++i)
      ASSERT_LE(std::abs(own.rows.data()[i]), own.peaks[static_cast<size_t>(i % own.rows.cols())]);
  }
  const fs::path other = dir.path() / "other.safetensors";
  const float value = 1;
  write_safetensors(other, {{"blocks.0.ff_in.peaks", {DType::kF32, {1}, &value}}});
  EXPECT_HAS(runtime_error_of([&] { read_image_inputs(other); }), "not complete");
  write_safetensors(other, {{"scores", {DType::kF32, {1}, &value}}});
  EXPECT_HAS(runtime_error_of([&] { read_image_inputs(other); }), "'scores'");
}

TEST(ImageCompare, TheGridSpendsEqualBits) {
  const std::vector<ImageCompareRow> rows = image_compare_grid({});
  ASSERT_EQ(rows.size(), 40u);  // 5 methods, 4 arms, A4 and W4A4
  for (const ImageCompareRow& row : rows) {
    if (row.baseline < 0 || row.recipe.activations.plan.kind == "waterfill") continue;
    const Recipe& base = rows[static_cast<size_t>(row.baseline)].recipe;
    EXPECT_EQ(base.feature, row.recipe.feature);
    EXPECT_EQ(base.weights.bits, row.recipe.weights.bits);
    const TokenQuantizer with(row.recipe.activations), without(base.activations);
    EXPECT_NEAR(with.count_bits(1024, 128).average(), without.count_bits(1024, 128).average(),
                1e-9);
  }
  EXPECT_EQ(image_compare_grid({.features = {"rtn"}, .weights = {4}}).size(), 4u);
  EXPECT_THROW(image_compare_grid({.features = {"quarot"}}), std::invalid_argument);
  EXPECT_THROW(image_compare_grid({.weights = {99}}), std::invalid_argument);
}

TEST(ImageCompare, PresetsLeaveWhatIsGiven) {
  const TempDirectory dir;
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += std::to_string(i) + "\n";
  dir.write("prompts.txt", lines);
  ImageCompareOptions options;
  options.image.pipeline = dir.path();
  options.image.guidance = 7;
  apply_preset(options, "demo", [](const std::string& name) { return name == "guidance"; });
  EXPECT_EQ(options.image.prompts.size(), 8u);
  ASSERT_EQ(options.calibration_prompts.size(), 8u);
  EXPECT_EQ(options.calibration_prompts[0], "8");
  EXPECT_EQ(options.image.guidance, 7);
  EXPECT_EQ(options.grid.weights, std::vector<int>{4});
  const auto nothing = [](const std::string&) { return false; };
  EXPECT_THROW(apply_preset(options, "paper-llm", nothing), std::invalid_argument);
}

TEST(ImageCompare, MeasuresEveryMethodAndContinues) {
  const TempDirectory dir;
  ImageCompareOptions options{.image = small_options(),
                              .grid = {.high_tokens = 4, .weights = {4}},
                              .cache = dir.path() / "cache",
                              .pictures = 1,
                              .calibration_prompts = {"ball"},
                              .teacher_prompts = 1};
  options.image.prompts.push_back("ball");
  const ImageComparison first = compare_images(options);
  ASSERT_EQ(first.rows.size(), 20u);
  for (const ImageCompareRow& row : first.rows) {
    EXPECT_FALSE(row.simulated) << row.label;
    EXPECT_EQ(row.scores.size(), 2u);
    EXPECT_GT(row.step_sqnr[0], 5) << row.label;
    EXPECT_EQ(row.layer_sqnr.size(), 8u) << row.label;  // of one layer
    EXPECT_EQ(row.pictures.size(), 1u);
    if (row.baseline < 0) continue;
    EXPECT_NEAR(row.bits, first.rows[static_cast<size_t>(row.baseline)].bits, 0.2) << row.label;
    EXPECT_EQ(image_gains(first, row).size(), 2u);
  }
  EXPECT_EQ(first.picture_prompts, std::vector<std::string>{"a red ball"});
  const std::string html = to_html(first);
  for (const char* part : {"id=\"pictures\"", "id=\"steps\"", "id=\"layers\"", "id=\"site\"",
                           "a red ball", "W4 A4", "data:image/png;base64,"})
    EXPECT_NE(html.find(part), std::string::npos) << part;
  for (const char* reference : {"src=\"http", "href=", "url(", "<script"})
    EXPECT_EQ(html.find(reference), std::string::npos) << reference;
  const ImageComparison again = compare_images(options);
  for (size_t i = 0; i < first.rows.size(); ++i) {
    EXPECT_EQ(measured_json(again.rows[i]), measured_json(first.rows[i]));  // seconds too: kept
    EXPECT_EQ(again.rows[i].pictures[0].rgb, first.rows[i].pictures[0].rgb);
  }
}

TEST(ImageCompare, PicturesOfAnInput) {
  // Rows of a gradient over a 4 x 6 grid, in two channels.
  Matrix x(24, 2);
  for (int64_t i = 0; i < 24; ++i) {
    x(i, 0) = 1 + 0.1f * static_cast<float>(i / 6);
    x(i, 1) = 2;
  }
  const ImageSitePicture picture = make_site_picture("blocks.0.attn1_in", x.view(), 6, 6);
  ASSERT_EQ(picture.autocorrelation.rows(), 7);  // offsets up to 3
  EXPECT_NEAR(picture.autocorrelation(3, 3), 1, 1e-6);
  EXPECT_NEAR(picture.autocorrelation(3, 5), 1, 1e-6);  // along a row nothing changes
  EXPECT_LT(picture.autocorrelation(6, 3), 1);
  ASSERT_EQ(picture.energy.rows(), 4);
  ASSERT_EQ(picture.energy.cols(), 6);
  double before = 0, after = 0, coarse = 0;
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 6; ++j) {
      before += picture.energy(i, j);
      after += picture.transformed(i, j);
      if (i < 2 && j < 3) coarse += picture.transformed(i, j);
      EXPECT_TRUE(j < 3 || picture.transformed(i, j) < 1e-9);  // nothing changes along rows
    }
  EXPECT_NEAR(before, 24, 1e-4);
  EXPECT_NEAR(after, 24, 1e-4);
  EXPECT_GT(coarse, 23.9);
}

TEST(ImageCompare, ARowThatIsNotWholeIsRefused) {
  ImageCompareRow row;
  Json json = measured_json(row);
  take_measured(json, row);
  json.erase("bits");
  EXPECT_THROW(take_measured(json, row), std::runtime_error);
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
