#include "stamp/pipelines/info.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace stamp {
namespace {

TEST(Info, NamesThePartsOfAPipeline) {
  const ModelInfo info = inspect_model(std::filesystem::path(STAMP_SOURCE_DIR) / "demo/image");
  EXPECT_EQ(info.pipeline, "PixArtSigmaPipeline");
  ASSERT_EQ(info.parts.size(), 3u);
  for (const char* name : {"text_encoder", "transformer", "vae"}) {
    const auto part = std::find_if(info.parts.begin(), info.parts.end(),
                                   [&](const PartInfo& p) { return p.name == name; });
    ASSERT_NE(part, info.parts.end()) << name;
    EXPECT_GT(part->parameters, 100'000) << name;
    EXPECT_EQ(part->types, std::vector<std::string>{"BF16"}) << name;
  }
}

TEST(Info, TellsHowRopeIsScaled) {
  const auto models = std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/oracles/llm";
  const ModelInfo yarn = inspect_model(models / "qwen2_yarn/ckpt");
  EXPECT_NE(to_text(yarn).find("RoPE           yarn, factor 4, trained on 32 positions\n"),
            std::string::npos);
  EXPECT_EQ(to_json(yarn)["config"]["rope_scaling"]["rope_type"], "yarn");
  EXPECT_EQ(to_json(yarn)["config"]["rope_scaling"]["attention_factor"], 1.138629436111989);
  const ModelInfo linear = inspect_model(models / "llama_linear/ckpt");
  EXPECT_NE(to_text(linear).find("RoPE           linear, factor 2.5\n"), std::string::npos);
  const ModelInfo plain = inspect_model(models / "qwen2_untied_130/ckpt");
  EXPECT_EQ(to_text(plain).find("RoPE"), std::string::npos);
  EXPECT_FALSE(to_json(plain)["config"].contains("rope_scaling"));
}

TEST(Info, GivesTheIdsThatEndAText) {
  const ModelInfo info = inspect_model(std::filesystem::path(STAMP_SOURCE_DIR) / "demo/llm");
  const Json json = to_json(info);
  EXPECT_EQ(json["config"]["layers"], 8);
  EXPECT_FALSE(json["config"]["eos_token_ids"].empty());
}

}  // namespace
}  // namespace stamp
