#include "stamp/server/completion_text.h"

#include <gtest/gtest.h>

#include "stamp/core/rng.h"

namespace stamp {
namespace {

class CompletionTextTest : public testing::Test {
 protected:
  Tokenizer tokenizer = Tokenizer::load(std::filesystem::path(STAMP_SOURCE_DIR) / "demo/llm");

  struct Result {
    std::string text;
    bool stopped = false;
  };
  /// The text of single bytes' tokens, as pieces.
  Result run(const std::string& text, const std::vector<std::string>& stops) {
    CompletionText completion(tokenizer, stops);
    Result result;
    for (const char c : text) {
      for (const int32_t id : tokenizer.encode(std::string(1, c), false))
        result.text += completion.push(id);
      if (completion.stopped()) {
        result.stopped = true;
        EXPECT_EQ(completion.push(tokenizer.encode("x", false)[0]), "");
        break;
      }
    }
    result.text += completion.finish();
    return result;
  }
};

TEST_F(CompletionTextTest, EndsBeforeTheFirstStopString) {
  EXPECT_EQ(run("one two three", {"two"}).text, "one ");
  EXPECT_TRUE(run("one two three", {"two"}).stopped);
  EXPECT_EQ(run("aab", {"ab"}).text, "a");
  EXPECT_EQ(run("abab", {"abac", "bab"}).text, "a");
  EXPECT_EQ(run("xyz", {"z", "xyz"}).text, "");  // it begins first
}

TEST_F(CompletionTextTest, GivesBackWhatWasNoStopString) {
  EXPECT_EQ(run("one tw", {"two"}).text, "one tw");
  EXPECT_FALSE(run("one tw", {"two"}).stopped);
  EXPECT_EQ(run("aaaaab", {"aaac"}).text, "aaaaab");
}

TEST_F(CompletionTextTest, AgreesWithSearchingTheWholeText) {
  Rng rng(1);
  for (int round = 0; round < 300; ++round) {
    const auto word = [&](size_t length) {
      std::string text;
      for (size_t i = 0; i < length; ++i) text += static_cast<char>('a' + rng.below(2));
      return text;
    };
    const std::string text = word(12), stop = word(1 + rng.below(4));
    const size_t found = text.find(stop);
    const Result result = run(text, {stop});
    EXPECT_EQ(result.text, text.substr(0, found)) << text << " " << stop;
    EXPECT_EQ(result.stopped, found != std::string::npos);
  }
}

}  // namespace
}  // namespace stamp
