#include "stamp/text/tokenizer.h"

#include <gtest/gtest.h>

#include "stamp/core/rng.h"
#include "stamp/io/json.h"

namespace stamp {
namespace {

using Ids = std::vector<int32_t>;

std::filesystem::path data(const std::string& name) {
  return std::filesystem::path(STAMP_SOURCE_DIR) / "tests/data/tok" / name;
}
/// Of a directory, or of a GGUF file made from it ("llama3.gguf").
Tokenizer load(const std::string& name) {
  if (name.ends_with(".gguf")) return Tokenizer::load(data("../gguf") / ("tokens-" + name));
  return Tokenizer::load(data(name) / "ckpt");
}

/// Cases made with Hugging Face's tokenizers.
class ReferenceCases : public testing::TestWithParam<const char*> {};

TEST_P(ReferenceCases, AgreeInIdsAndText) {
  const Tokenizer tokenizer = load(GetParam());
  const std::string name = std::filesystem::path(GetParam()).stem();
  const Json cases = read_json(data(name) / "cases.json").at("cases");
  ASSERT_GE(cases.size(), 60u);
  for (const Json& c : cases) {
    const std::string text = c.at("text");
    const std::string shown = c.at("text").dump(-1, ' ', true);
    const Ids ids = c.at("ids"), plain = c.at("ids_plain");
    EXPECT_EQ(tokenizer.encode(text), ids) << shown;
    EXPECT_EQ(tokenizer.encode(text, false), plain) << shown;
    EXPECT_EQ(tokenizer.decode(plain), c.at("decoded").get<std::string>()) << shown;
    EXPECT_EQ(tokenizer.decode(ids, true), c.at("decoded_skip").get<std::string>()) << shown;
  }
  EXPECT_EQ(tokenizer.size(), read_json(data(name) / "info.json").at("n_total"));
}

INSTANTIATE_TEST_SUITE_P(Families, ReferenceCases,
                         testing::Values("llama3", "qwen2", "llama3.gguf", "qwen2.gguf"));

TEST(Tokenizer, KnowsItsSpecialTokens) {
  const Tokenizer llama = load("llama3"), qwen = load("qwen2");
  EXPECT_EQ(llama.bos_id(), llama.id_of("<|begin_of_text|>"));
  EXPECT_EQ(qwen.bos_id(), -1);
  EXPECT_TRUE(llama.is_special(llama.bos_id()));
  EXPECT_FALSE(llama.is_special(llama.id_of("a")));
  EXPECT_FALSE(qwen.is_special(qwen.id_of("<tool_call>")));
  EXPECT_EQ(llama.id_of("no such token"), -1);
  EXPECT_EQ(llama.encode(""), Ids{llama.bos_id()});
  EXPECT_EQ(llama.encode("", false), Ids{});
  EXPECT_EQ(llama.encode("<|eot_id|>", false), Ids{llama.id_of("<|eot_id|>")});
}

TEST(Tokenizer, RefusesNegativeIds) {
  const Tokenizer tokenizer = load("llama3");
  EXPECT_THROW(tokenizer.decode(Ids{-1}), std::invalid_argument);
  EXPECT_THROW(tokenizer.decode(Ids{-1}, true), std::invalid_argument);
  EXPECT_THROW(tokenizer.token_bytes(-1), std::invalid_argument);
  EXPECT_THROW(tokenizer.is_special(-1), std::invalid_argument);
}

TEST(Tokenizer, IdsBeyondTheVocabularyHaveNoText) {
  const Tokenizer tokenizer = load("llama3");
  const int32_t a = tokenizer.id_of("a"), end = static_cast<int32_t>(tokenizer.size());
  for (const int32_t id : {end, end + 1, INT32_MAX}) {
    EXPECT_EQ(tokenizer.decode(Ids{a, id, a}), "aa");
    EXPECT_EQ(tokenizer.decode(Ids{a, id, a}, true), "aa");
    EXPECT_EQ(tokenizer.token_bytes(id), "");
    EXPECT_FALSE(tokenizer.is_special(id));
  }
  EXPECT_NE(tokenizer.token_bytes(end - 1), "");
}

TEST(Tokenizer, DecodesIncompleteCharactersAsReplacement) {
  const Tokenizer tokenizer = load("llama3");
  const Ids ids = tokenizer.encode("\U0001F600", false);
  ASSERT_GT(ids.size(), 1u);
  EXPECT_EQ(tokenizer.decode({ids.data(), ids.size() - 1}), "\uFFFD");
  std::string bytes;
  for (const int32_t id : ids) bytes += tokenizer.token_bytes(id);
  EXPECT_EQ(bytes, "\U0001F600");
}

TEST(Tokenizer, ReturnsAnyTextThatNeedsNoNormalization) {
  const Tokenizer tokenizer = load("llama3");
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    std::string bytes;
    for (uint64_t i = rng.below(60); i > 0; --i)
      bytes += static_cast<char>(rng.below(3) == 0 ? rng.below(256) : 32 + rng.below(95));
    const std::string text = tokenizer.decode(tokenizer.encode(bytes, false));
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false)), text);
    if (bytes.find_first_of("\x80\xff") == bytes.npos &&
        std::all_of(bytes.begin(), bytes.end(), [](char c) { return c >= 0; })) {
      EXPECT_EQ(text, bytes);
    }
  }
  EXPECT_EQ(tokenizer.encode("a\xff", false), tokenizer.encode("a\uFFFD", false));
}

TEST(Tokenizer, TakesHostileTextInItsStride) {
  const Tokenizer llama = load("llama3"), qwen = load("qwen2");
  constexpr int kRepeats = 100'000;
  for (const char* part :
       {"x", " ", "\n", " \n", "<", "<|begin_of_text|", "'s", "\u0301\u0323", "\r "}) {
    std::string text;
    for (int i = 0; i < kRepeats; ++i) text += part;
    EXPECT_EQ(llama.decode(llama.encode(text, false)), text);
    EXPECT_FALSE(qwen.encode(text).empty());
  }
}

}  // namespace
}  // namespace stamp
