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

TEST(Info, GivesTheIdsThatEndAText) {
  const ModelInfo info = inspect_model(std::filesystem::path(STAMP_SOURCE_DIR) / "demo/llm");
  const Json json = to_json(info);
  EXPECT_EQ(json["config"]["layers"], 8);
  EXPECT_FALSE(json["config"]["eos_token_ids"].empty());
}

}  // namespace
}  // namespace stamp
