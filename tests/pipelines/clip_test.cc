#include "stamp/models/clip/clip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "stamp/io/safetensors.h"
#include "stamp/pipelines/clip_score.h"
#include "stamp/pipelines/image_compare.h"
#include "stamp/pipelines/image_compare_cache.h"
#include "tests/io/sample_picture.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

const fs::path kOracles = fs::path(STAMP_SOURCE_DIR) / "tests/data/oracles";
const fs::path kClip = kOracles / "clip/old_eos/ckpt";

TEST(Clip, FindsTheTokenThatStandsForTheText) {
  const std::vector<int32_t> ids = {7, 3, 9, 2, 9};
  EXPECT_EQ(clip_text_end(ids, 9), 2u);
  EXPECT_EQ(clip_text_end(ids, 3), 1u);
  EXPECT_EQ(clip_text_end(ids, 2), 2u);  // the highest id
  EXPECT_EQ(clip_text_end(ids, 8), 0u);  // there is none
}

TEST(Clip, TheMeanScoreIsWhatIsClamped) {
  const std::vector<ClipScore> mixed = {{30, 0.25}, {-10, 0.75}}, low = {{-30, 0.5}};
  EXPECT_DOUBLE_EQ(mean_clip_score(mixed).score, 10);
  EXPECT_DOUBLE_EQ(mean_clip_score(mixed).iqa, 0.5);
  EXPECT_EQ(mean_clip_score(low).score, 0);
  EXPECT_TRUE(std::isnan(mean_clip_score({}).iqa));
}

TEST(Clip, RefusesInputsThatDoNotFit) {
  const ClipFiles files(kClip);
  ForwardContext context;
  const ClipTextTower text(files);
  EXPECT_THROW(text.embed({}, context), std::invalid_argument);
  EXPECT_THROW(text.embed(std::vector<int32_t>(41, 1), context), std::invalid_argument);
  EXPECT_THROW(text.embed(std::vector<int32_t>{1, 99999}, context), std::invalid_argument);
  EXPECT_THROW(text.embed(std::vector<int32_t>{-1}, context), std::invalid_argument);
  const ClipVisionTower vision(files);
  EXPECT_THROW(vision.embed(PixelMap(28, 27, 3), context), std::invalid_argument);
  EXPECT_THROW(vision.embed(PixelMap(28, 28, 4), context), std::invalid_argument);
  const ClipScorer scorer(kClip, {"a", "b"});
  EXPECT_THROW(scorer.score(std::vector<Picture>{sample_picture(4, 4)}), std::invalid_argument);
  EXPECT_THROW(scorer.score(std::vector<Picture>(2)), std::invalid_argument);
}

TEST(Clip, CountsPromptsThatAreCut) {
  std::string words;
  for (int i = 0; i < 38; ++i) words += "a ";
  EXPECT_EQ(ClipScorer(kClip, {words}).cut_prompts(), 0);  // 40 with both markers
  const ClipScorer scorer(kClip, {"a", words + "a", words + "ball", "b"});
  EXPECT_EQ(scorer.cut_prompts(), 2);
  const auto scores = scorer.score(std::vector<Picture>(4, sample_picture(30, 40)));
  EXPECT_EQ(scores[1].score, scores[2].score);  // of the first token alone
  EXPECT_NE(scores[0].score, scores[3].score);
}

/// A copy of the directory that may be spoiled.
class SpoiledClip : public testing::Test {
 protected:
  void SetUp() override { fs::copy(kClip, root(), fs::copy_options::recursive); }
  fs::path root() const { return directory_.path() / "clip"; }
  std::string error() const {
    return runtime_error_of([&] { ClipScorer(root(), {"a red ball"}); });
  }
  std::string error_with(const std::string& file, const Json& patch) const {
    const Json original = read_json(root() / file);
    Json json = original;
    json.merge_patch(patch);
    write_file_atomically(root() / file, json.dump());
    std::string message = error();
    write_file_atomically(root() / file, original.dump());
    return message;
  }
  std::string config_error(const Json& patch) const { return error_with("config.json", patch); }
  std::string processor_error(const Json& patch) const {
    return error_with("preprocessor_config.json", patch);
  }

 private:
  TempDirectory directory_;
};

TEST_F(SpoiledClip, MissingFiles) {
  EXPECT_EQ(error(), "");
  EXPECT_HAS(runtime_error_of([&] { ClipScorer(root() / "none", {"a"}); }), "no such folder");
  for (const char* file :
       {"preprocessor_config.json", "tokenizer.json", "model.safetensors", "config.json"}) {
    fs::rename(root() / file, root() / "away");
    EXPECT_HAS(error(), file);
    fs::rename(root() / "away", root() / file);
  }
}

TEST_F(SpoiledClip, ConfigsThatAreNotClips) {
  EXPECT_HAS(config_error({{"architectures", {"CLIPTextModel"}}}), "supported is CLIPModel");
  EXPECT_HAS(config_error({{"architectures", "CLIPModel"}}), "'architectures'");
  EXPECT_HAS(config_error({{"architectures", nullptr}, {"model_type", "blip"}}), "CLIPModel");
  EXPECT_EQ(config_error({{"architectures", nullptr}}), "");
  EXPECT_HAS(config_error({{"text_config", nullptr}}), "'text_config' is missing");
  EXPECT_HAS(config_error({{"vision_config", 3}}), "'vision_config' is 3");
  const auto text = [](const char* key, const Json& value) {
    return Json{{"text_config", {{key, value}}}};
  };
  const auto vision = [](const char* key, const Json& value) {
    return Json{{"vision_config", {{key, value}}}};
  };
  EXPECT_HAS(config_error(text("hidden_act", "relu")), "'hidden_act' is \"relu\"");
  EXPECT_HAS(config_error(text("num_attention_heads", 3)), "a divisor of hidden_size 20");
  EXPECT_HAS(config_error(text("num_attention_heads", 0)), "'num_attention_heads' is 0");
  EXPECT_HAS(config_error(text("vocab_size", INT64_MAX)), "'vocab_size'");
  EXPECT_HAS(config_error(vision("num_channels", 4)), "'num_channels' is 4");
  EXPECT_HAS(config_error(vision("patch_size", 29)), "'patch_size' is 29");
  EXPECT_HAS(config_error(vision("layer_norm_eps", -1)), "'layer_norm_eps' is -1");
}

TEST_F(SpoiledClip, PartsThatDoNotFitTogether) {
  const auto text = [](const char* key, const Json& value) {
    return Json{{"text_config", {{key, value}}}};
  };
  EXPECT_HAS(config_error(text("num_hidden_layers", 3)), "text_model.encoder.layers.2");
  EXPECT_HAS(config_error(text("max_position_embeddings", 77)), "position_embedding.weight");
  EXPECT_HAS(config_error(text("vocab_size", 100)), "vocab_size is 100");
  EXPECT_HAS(config_error({{"projection_dim", 13}}), "projection.weight");
  EXPECT_HAS(config_error({{"vision_config", {{"patch_size", 14}}}}), "patch_embedding.weight");
  EXPECT_HAS(processor_error({{"crop_size", 21}}),
             "makes 21 pixels a side, config.json expects 28");
}

TEST_F(SpoiledClip, ProcessorsThatDoSomethingElse) {
  EXPECT_HAS(processor_error({{"do_resize", false}}), "'do_resize' is false");
  EXPECT_HAS(processor_error({{"resample", 2}}), "'resample' is 2");
  EXPECT_HAS(processor_error({{"image_processor_type", "ViTImageProcessor"}}), "ViTImageProcessor");
  EXPECT_HAS(processor_error({{"size", {{"shortest_edge", 20}}}}), "expected at most size, 20");
  EXPECT_HAS(processor_error({{"size", {{"shortest_edge", nullptr}}}}),
             "'shortest_edge' is missing");
  EXPECT_HAS(processor_error({{"crop_size", {{"height", 27}}}}), "squares");
  EXPECT_HAS(processor_error({{"image_std", {0.2, 0, 0.2}}}), "'image_std'");
  EXPECT_HAS(processor_error({{"image_mean", {0.2, 0.2}}}), "three numbers");
  EXPECT_EQ(processor_error({{"size", 28}, {"crop_size", 28}, {"image_mean", nullptr}}), "");
}

TEST_F(SpoiledClip, TheJointConfigOfAProcessorCountsToo) {
  const Json json = {{"image_processor", read_json(root() / "preprocessor_config.json")}};
  fs::remove(root() / "preprocessor_config.json");
  write_file_atomically(root() / "processor_config.json", json.dump());
  EXPECT_EQ(error(), "");
  write_file_atomically(root() / "processor_config.json", "{}");
  EXPECT_HAS(error(), "'image_processor' is missing");
}

TEST_F(SpoiledClip, WeightsThatAreNotFinite) {
  const fs::path file = root() / "model.safetensors";
  for (const char* name : {"visual_projection.weight", "text_model.final_layer_norm.bias"}) {
    {
      const Safetensors original = Safetensors::open(file);
      std::map<std::string, TensorView> tensors = original.tensors();
      TensorView& view = tensors.at(name);
      std::vector<float> values(view.as<float>(), view.as<float>() + view.size());
      values.back() = std::numeric_limits<float>::quiet_NaN();
      view.data = values.data();
      write_safetensors(file.string() + ".new", tensors);
    }
    fs::copy_file(file, root() / "good", fs::copy_options::overwrite_existing);
    fs::rename(file.string() + ".new", file);
    EXPECT_HAS(error(), std::string("tensor ") + name + " holds values that are not finite");
    fs::rename(root() / "good", file);
  }
}

ImageCompareOptions small_comparison(const TempDirectory& dir) {
  Recipe plain, coarse;
  plain.name = "nothing";
  coarse.name = "coarse";
  coarse.activations.bits = 3;
  ImageCompareOptions options{.image = {.pipeline = kOracles / "pipe/pixart_words/ckpt",
                                        .prompts = {"a red ball", "ball"},
                                        .width = 16,
                                        .height = 24,
                                        .steps = 2},
                              .cache = dir.path() / "cache",
                              .teacher_prompts = 1,
                              .clip = kClip};
  for (const Recipe& recipe : {plain, coarse})
    options.recipes.push_back(dir.write(recipe.name + ".json", to_json(recipe).dump()).string());
  return options;
}

TEST(ImageCompareClip, ScoresEveryArmAndTheReference) {
  const TempDirectory dir;
  const ImageCompareOptions options = small_comparison(dir);
  const ImageComparison result = compare_images(options);
  ASSERT_EQ(result.clip.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_EQ(result.rows[i].clip.size(), 2u);
    EXPECT_EQ(result.rows[0].clip[i].score, result.clip[i].score);  // nothing is quantized
    EXPECT_EQ(result.rows[0].clip[i].iqa, result.clip[i].iqa);
    EXPECT_NE(result.rows[1].clip[i].score, result.clip[i].score);
    EXPECT_GT(result.clip[i].iqa, 0.01);
    EXPECT_LT(result.clip[i].iqa, 0.99);
  }
  const std::string text = to_text(result);
  EXPECT_HAS(text, "CLIP-IQA");
  EXPECT_HAS(text, "\nunquantized");
  EXPECT_HAS(text, "(+0.00)");
  const Json json = to_json(result);
  const double score = json.at("clip").at("score"), changed = json.at("rows")[1]["clip"]["score"];
  EXPECT_GT(score, 0);
  EXPECT_NEAR(json.at("rows")[1]["clip"]["score_change"], changed - score, 1e-12);
  EXPECT_EQ(json.at("rows")[0]["clip"]["iqa_change"], 0.0);
  EXPECT_EQ(json.at("clip").at("scores").size(), 2u);
  EXPECT_EQ(json.at("rows")[1]["scores"][0]["clip_iqa"], result.rows[1].clip[0].iqa);
  const std::string html = to_html(result);
  EXPECT_HAS(html, "<th>CLIP score</th><th>CLIP-IQA</th>");
  EXPECT_HAS(html, "<th scope=\"row\">unquantized</th>");
}

TEST(ImageCompareClip, KeptRowsBelongToTheirClip) {
  const TempDirectory dir;
  ImageCompareOptions options = small_comparison(dir);
  options.recipes.erase(options.recipes.begin());
  const auto kept = [&] {
    return std::distance(fs::directory_iterator(options.cache), fs::directory_iterator());
  };
  const ImageComparison first = compare_images(options);
  const auto files = kept();
  const ImageComparison again = compare_images(options);
  EXPECT_EQ(measured_json(again.rows[0]), measured_json(first.rows[0]));  // seconds too: kept
  EXPECT_EQ(kept(), files);
  options.clip = kOracles / "clip/new_eos/ckpt";
  const ImageComparison other = compare_images(options);
  EXPECT_NE(other.rows[0].clip[0].score, first.rows[0].clip[0].score);
  EXPECT_EQ(kept(), files + 1);
  options.clip.clear();
  const ImageComparison without = compare_images(options);
  EXPECT_EQ(kept(), files + 2);
  EXPECT_TRUE(without.rows[0].clip.empty());
  EXPECT_EQ(to_text(without).find("CLIP"), std::string::npos);
  EXPECT_EQ(to_json(without).count("clip"), 0u);
  EXPECT_EQ(to_html(without).find("CLIP"), std::string::npos);
}

TEST(ImageCompareClip, SaysBeforeDrawingWhatIsWrong) {
  const TempDirectory dir;
  ImageCompareOptions options = small_comparison(dir);
  options.clip = dir.path() / "none";
  EXPECT_HAS(runtime_error_of([&] { compare_images(options); }), "none: there is no such folder");
  options.clip = kOracles / "pipe/pixart_words/ckpt/text_encoder";
  EXPECT_HAS(runtime_error_of([&] { compare_images(options); }), "supported is CLIPModel");
}

}  // namespace
}  // namespace stamp
