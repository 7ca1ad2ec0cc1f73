#include "stamp/text/clip_vocabulary.h"

#include <gtest/gtest.h>

#include "stamp/io/json.h"
#include "stamp/text/byte_alphabet.h"
#include "stamp/text/normalizers.h"
#include "stamp/text/tokenizer.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

using Ids = std::vector<int32_t>;

constexpr const char* kStart = "<|startoftext|>";
constexpr const char* kEnd = "<|endoftext|>";
constexpr const char* kMerges = "#version: 0.2\na b</w>\nc a\n";

/// Bytes (id = byte), bytes at the end of a word (256 + byte), "ab</w>" 512, "ca" 513, markers.
Json vocabulary() {
  Json result = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    const std::string spelled = spell_bytes(std::string(1, static_cast<char>(byte)));
    result[spelled] = byte;
    result[spelled + "</w>"] = 256 + byte;
  }
  for (const char* token : {"ab</w>", "ca", kStart, kEnd}) result[token] = result.size();
  return result;
}

class ClipVocabulary : public testing::Test {
 protected:
  void SetUp() override { write(vocabulary(), kMerges); }
  void write(const Json& tokens, const std::string& merges) const {
    dir_.write("vocab.json", tokens.dump());
    dir_.write("merges.txt", merges);
  }
  Tokenizer load() const { return Tokenizer::load(dir_.path()); }
  std::string error() const {
    return runtime_error_of([&] { load(); });
  }
  TempDirectory dir_;
};

int32_t last(char c) { return 256 + static_cast<uint8_t>(c); }

TEST_F(ClipVocabulary, CutsLowersAndMarks) {
  const Tokenizer tokenizer = load();
  EXPECT_EQ(tokenizer.encode("AB \t\n cab"), (Ids{514, 512, 'c', 512, 515}));
  EXPECT_EQ(tokenizer.encode("CAX", false), (Ids{513, last('x')}));
  EXPECT_EQ(tokenizer.encode("a12!?", false),
            (Ids{last('a'), last('1'), last('2'), '!', last('?')}));
  EXPECT_EQ(tokenizer.encode("a's", false), (Ids{last('a'), '\'', last('s')}));
  EXPECT_EQ(tokenizer.encode("\u00c9", false), (Ids{0xC3, last('\xA9')}));  // a lower e with acute
  EXPECT_EQ(tokenizer.encode("E\u0301", false), (Ids{0xC3, last('\xA9')}));
  EXPECT_EQ(tokenizer.encode(" \n ", false), Ids{});
  EXPECT_EQ(tokenizer.encode("ab<|endoftext|>ab", false), (Ids{512, 515, 512}));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("AB  CAB!"), true), "ab cab !");
}

TEST_F(ClipVocabulary, TokenizerJsonSaysTheSame) {
  const Tokenizer plain = load();
  Json json = Json::parse(R"json({
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"},
      {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": " "}, {"type": "Lowercase"}]},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "behavior": "Removed", "invert": true, "pattern": {"Regex":
       "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+"}},
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true}]},
    "decoder": {"type": "ByteLevel"},
    "post_processor": {"type": "RobertaProcessing", "cls": ["<|startoftext|>", 514],
                       "sep": ["<|endoftext|>", 515], "trim_offsets": false},
    "added_tokens": [{"id": 514, "content": "<|startoftext|>", "normalized": true, "special": true},
                     {"id": 515, "content": "<|endoftext|>", "normalized": false, "special": true}],
    "model": {"type": "BPE", "unk_token": "<|endoftext|>", "continuing_subword_prefix": "",
              "end_of_word_suffix": "</w>", "merges": ["a b</w>", "c a"]}})json");
  json["model"]["vocab"] = vocabulary();
  const auto encode = [&](const Json& file, const char* text) {
    const TempDirectory dir;
    dir.write("tokenizer.json", file.dump());
    return Tokenizer::load(dir.path()).encode(text);
  };
  for (const char* text : {"", "ab cab", "it's 42!!", "A\u00a0B", "na\u00efve \u65e5\u672c"})
    EXPECT_EQ(encode(json, text), plain.encode(text)) << text;
  // A marker that is sought in normalized text is found whatever its case.
  EXPECT_EQ(encode(json, "<|StartOfText|>"), (Ids{514, 514, 515}));
  const auto error_with = [&](const char* pointer, const Json& value) {
    Json changed = json;
    changed[Json::json_pointer(pointer)] = value;
    return runtime_error_of([&] { encode(changed, ""); });
  };
  EXPECT_HAS(error_with("/normalizer/normalizers/2/type", "NFD"), "\"NFD\", unsupported");
  EXPECT_HAS(error_with("/normalizer/normalizers/1/pattern/Regex", "x"),
             "\"Replace\", unsupported");
  EXPECT_HAS(error_with("/normalizer/normalizers", {{{"type", "Lowercase"}}, {{"type", "NFC"}}}),
             "before \"Lowercase\" only");
  EXPECT_HAS(error_with("/pre_tokenizer/pretokenizers/0/invert", false),
             "'behavior' is \"Removed\"");
  EXPECT_HAS(error_with("/post_processor/cls", 514), "'cls' is 514");
  EXPECT_HAS(error_with("/post_processor/sep/1", -1), "an id in [0");
  EXPECT_HAS(error_with("/post_processor/sep/1", 9999), "unknown id 9999");
  EXPECT_HAS(error_with("/model/byte_fallback", true), "'byte_fallback' is true");
}

TEST_F(ClipVocabulary, NamesWhatIsMissing) {
  Json tokens = vocabulary();
  tokens.erase(kEnd);
  write(tokens, kMerges);
  EXPECT_HAS(error(), "there is no eos_token '<|endoftext|>'");
  tokens = vocabulary();
  tokens.erase("q</w>");
  write(tokens, kMerges);
  EXPECT_HAS(error(), "'q</w>' is not in the vocabulary");
  write(vocabulary(), "a b c\n");
  EXPECT_HAS(error(), "merge \"a b c\" is neither");
  write(vocabulary(), "\xff\xff a b\n");
  EXPECT_HAS(error(), "merges.txt: invalid UTF-8");
  write(vocabulary(), "a q\n");
  EXPECT_HAS(error(), "'aq' is not in the vocabulary");
  write(Json::array({1}), kMerges);
  EXPECT_HAS(error(), "vocab.json");
  write(vocabulary(), kMerges);
  dir_.write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_HAS(error(), "there is no bos_token '<s>'");
  dir_.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer"})");
  EXPECT_HAS(error(), "tokenizer.json: cannot open");
}

TEST(Normalizers, LowerEveryCharacterOnItsOwn) {
  EXPECT_EQ(lower_characters("A\u00c4\u03a3\u0130z"), "a\u00e4\u03c3i\u0307z");
  EXPECT_EQ(lower_characters(""), "");
}

TEST(Normalizers, RunsOfWhiteSpaceBecomeOneBlank) {
  EXPECT_EQ(collapse_white_space("\t a\u00a0\u3000\n\u0085b  "), " a b ");
  EXPECT_EQ(collapse_white_space("a\u200bb"), "a\u200bb");  // not white space
}

}  // namespace
}  // namespace stamp
