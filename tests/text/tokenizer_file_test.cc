#include "stamp/text/tokenizer_file.h"

#include <gtest/gtest.h>

#include "stamp/io/json.h"
#include "stamp/text/byte_alphabet.h"
#include "stamp/text/tokenizer.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

using Ids = std::vector<int32_t>;

/// 256 bytes (id = byte), "ab" 256, "abc" 257, special "<s>" 258 in front of every text.
Json small() {
  Json vocabulary = Json::object();
  for (int byte = 0; byte < 256; ++byte)
    vocabulary[spell_bytes(std::string(1, static_cast<char>(byte)))] = byte;
  vocabulary["ab"] = 256;
  vocabulary["abc"] = 257;
  Json json = Json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
    "added_tokens": [{"id": 258, "content": "<s>", "special": true, "normalized": false}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "decoder": {"type": "ByteLevel"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [258], "tokens": ["<s>"]}}},
    "model": {"type": "BPE", "merges": ["a b", "ab c"]}})");
  json["model"]["vocab"] = vocabulary;
  return json;
}

Tokenizer load(const Json& json) {
  const TempDirectory dir;
  dir.write("tokenizer.json", json.dump());
  return Tokenizer::load(dir.path());
}

/// Error after `patch` (RFC 7386: null removes a key).
std::string error_with(const Json& patch) {
  Json json = small();
  json.merge_patch(patch);
  return runtime_error_of([&] { load(json); });
}
std::string error_with_at(const std::string& pointer, const Json& value) {
  Json json = small();
  json[Json::json_pointer(pointer)] = value;
  return runtime_error_of([&] { load(json); });
}

TEST(TokenizerFile, LoadsTheSmallOne) {
  const Tokenizer tokenizer = load(small());
  EXPECT_EQ(tokenizer.size(), 259);
  EXPECT_EQ(tokenizer.bos_id(), 258);
  EXPECT_EQ(tokenizer.encode("abcab<s>"), (Ids{258, 257, 256, 258}));
  EXPECT_EQ(tokenizer.encode("a b", false), (Ids{'a', ' ', 'b'}));
}

TEST(TokenizerFile, ReadsBothSpellingsOfMerges) {
  Json json = small();
  json["model"]["merges"] = Json::parse(R"([["a", "b"], ["ab", "c"]])");
  EXPECT_EQ(load(json).encode("abc", false), (Ids{257}));
  for (const Json& merge : {Json("ab"), Json("a b c"), Json({"a"}), Json(1), Json({"a", 1})})
    EXPECT_HAS(error_with_at("/model/merges/0", merge), "merge " + merge.dump() + " is neither");
}

TEST(TokenizerFile, PutsTemplatesAroundTheText) {
  Json json = small();
  json["added_tokens"].push_back({{"id", 300}, {"content", "</s>"}, {"special", true}});
  json["post_processor"]["single"].push_back({{"SpecialToken", {{"id", "</s>"}}}});
  json["post_processor"]["special_tokens"]["</s>"] = {{"ids", {300, 258}}};
  const Tokenizer tokenizer = load(json);
  EXPECT_EQ(tokenizer.encode("a"), (Ids{258, 'a', 300, 258}));
  EXPECT_EQ(tokenizer.encode("a", false), (Ids{'a'}));
  EXPECT_EQ(tokenizer.size(), 301);
  EXPECT_EQ(tokenizer.decode(Ids{'a', 280, 'b'}), "ab");  // no token has id 280
}

TEST(TokenizerFile, SeeksNormalizedTokensInNormalizedText) {
  Json json = small();
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  json["added_tokens"].push_back({{"id", 260}, {"content", "e\u0301"}, {"normalized", true}});
  json["added_tokens"].push_back({{"id", 261}, {"content", "o\u0301"}, {"normalized", false}});
  const Tokenizer tokenizer = load(json);
  EXPECT_EQ(tokenizer.encode("e\u0301\u00e9", false), (Ids{260, 260}));
  EXPECT_EQ(tokenizer.encode("o\u0301\u00f3", false), (Ids{261, 0xC3, 0xB3}));
}

TEST(TokenizerFile, NamesWhatItDoesNotSupport) {
  EXPECT_HAS(error_with_at("/model/type", "WordPiece"), "'type' is \"WordPiece\", unsupported");
  EXPECT_HAS(error_with_at("/model/byte_fallback", true), "'byte_fallback' is true");
  EXPECT_HAS(error_with_at("/model/dropout", 0.1), "'dropout' is 0.1");
  EXPECT_HAS(error_with_at("/model/continuing_subword_prefix", "#"), "'continuing_subword_prefix'");
  EXPECT_HAS(error_with_at("/model/end_of_word_suffix", "</w>"), "</w>' is not in the vocabulary");
  EXPECT_HAS(error_with_at("/normalizer", {{"type", "Replace"}}), "\"Replace\", unsupported");
  EXPECT_HAS(error_with_at("/pre_tokenizer", {{"type", "Metaspace"}}),
             "\"Metaspace\", unsupported");
  EXPECT_HAS(error_with_at("/pre_tokenizer/add_prefix_space", true), "'add_prefix_space' is true");
  EXPECT_HAS(error_with_at("/pre_tokenizer", nullptr), "'pre_tokenizer' is absent");
  EXPECT_HAS(error_with_at("/decoder", {{"type", "Fuse"}}), "'type' is \"Fuse\"");
  EXPECT_HAS(error_with_at("/decoder", nullptr), "'decoder' is absent");
  EXPECT_HAS(error_with_at("/post_processor/type", "BertProcessing"), "BertProcessing");
}

TEST(TokenizerFile, RefusesUnsupportedSplits) {
  const auto error_of = [](const Json& split) {
    return error_with_at(
        "/pre_tokenizer",
        {{"type", "Sequence"},
         {"pretokenizers", {split, {{"type", "ByteLevel"}, {"add_prefix_space", false}}}}});
  };
  const Json good = {{"type", "Split"}, {"pattern", {{"Regex", "a"}}}, {"behavior", "Isolated"}};
  Json removed = good, inverted = good, literal = good, broken = good;
  removed["behavior"] = "Removed";
  inverted["invert"] = true;
  literal["pattern"] = {{"String", " "}};
  broken["pattern"] = {{"Regex", "("}};
  EXPECT_EQ(error_of(good), "");
  EXPECT_HAS(error_of(removed), "'behavior' is \"Removed\"");
  EXPECT_HAS(error_of(inverted), "'invert' is true");
  EXPECT_HAS(error_of(literal), "'Regex' is missing");
  EXPECT_HAS(error_of(broken), "does not compile");
  EXPECT_HAS(error_of({{"type", "ByteLevel"}, {"add_prefix_space", false}}), "nothing may follow");
}

TEST(TokenizerFile, RefusesBadIds) {
  for (const Json& id : {Json(-1), Json(1 << 22), Json(UINT64_MAX), Json("1"), Json(1.5)}) {
    EXPECT_HAS(error_with_at("/model/vocab/ab", id), "'ab' is " + id.dump());
    EXPECT_HAS(error_with_at("/added_tokens/0/id", id), "'id' is " + id.dump());
  }
  EXPECT_HAS(error_with_at("/model/vocab/ab", 257), "id 257");
  EXPECT_HAS(error_with_at("/added_tokens/0/id", 257), "'<s>' with id 257 clashes");
  EXPECT_HAS(error_with_at("/added_tokens/0/content", "ab"), "'ab' with id 258 clashes");
  EXPECT_HAS(error_with_at("/post_processor/special_tokens/<s>/ids/0", 999), "unknown id 999");
}

TEST(TokenizerFile, TemplatesCannotMultiplyIds) {
  Json json = small();
  Json& single = json["post_processor"]["single"];
  json["post_processor"]["special_tokens"]["<s>"]["ids"] = std::vector<int>(512, 258);
  single.push_back(single[0]);
  single.push_back(single[0]);
  EXPECT_EQ(load(json).encode("", true).size(), 3 * 512u);
  single.push_back(single[0]);
  EXPECT_HAS(runtime_error_of([&] { load(json); }), "at most 1024 ids");
}

TEST(TokenizerFile, ManyConfiguredTokensAreAddedInLinearTime) {
  TokenizerSpec spec = read_tokenizer_file(parse_json(small().dump(), "test"), "test");
  TokenizerConfig config;
  constexpr int32_t kMany = 400'000;
  for (int32_t i = 0; i < kMany; ++i)
    config.added_tokens.push_back({.id = 1000 + i, .content = std::to_string(i) + "!"});
  config.added_tokens.push_back({.id = 1000, .content = "the second with this id"});
  apply_config(spec, config, "test");
  EXPECT_EQ(spec.added_tokens.size(), size_t{kMany} + 1);
}

TEST(TokenizerFile, RefusesBrokenStructure) {
  for (const char* part :
       {"model", "added_tokens", "post_processor", "pre_tokenizer", "normalizer"})
    EXPECT_HAS(error_with({{part, 7}}), "'" + std::string(part) + "' is 7");
  EXPECT_HAS(error_with({{"model", {{"vocab", nullptr}}}}), "'vocab' is missing");
  EXPECT_HAS(error_with({{"model", {{"merges", nullptr}}}}), "'merges' is absent");
  EXPECT_HAS(error_with_at("/post_processor/single", Json::array()), "exactly once");
  EXPECT_HAS(error_with_at("/post_processor/single/1/Sequence/id", "B"), "expected \"A\"");
  EXPECT_HAS(error_with_at("/post_processor/special_tokens", Json::object()), "'<s>' is missing");
  const TempDirectory dir;
  EXPECT_HAS(runtime_error_of([&] { Tokenizer::load(dir.path()); }), "tokenizer.json: cannot open");
}

/// Gemma's kind: ids 0 .. 255 are bytes, then the mark, "a", "b", "ab" and the added "\n\n".
Json marked() {
  Json vocabulary = Json::object();
  for (int byte = 0; byte < 256; ++byte) vocabulary[byte_token(static_cast<uint8_t>(byte))] = byte;
  for (const char* token : {"\u2581", "a", "b", "ab", "<unk>"})
    vocabulary[token] = vocabulary.size();
  Json json = Json::parse(R"({
    "added_tokens": [{"id": 300, "content": "\n\n", "special": false, "normalized": false}],
    "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
    "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"},
    "decoder": {"type": "Sequence", "decoders": [{"type": "Replace"}, {"type": "ByteFallback"},
                                                 {"type": "Fuse"}]},
    "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "merges": [["a", "b"]]}})");
  json["model"]["vocab"] = vocabulary;
  return json;
}

TEST(TokenizerFile, LoadsBpeOfCharacters) {
  const Tokenizer tokenizer = load(marked());
  EXPECT_EQ(tokenizer.encode("ab\n\n a\u00e9"), (Ids{259, 300, 256, 257, 0xC3, 0xA9}));
  EXPECT_EQ(tokenizer.decode(Ids{259, 300, 256, 257, 0xC3, 0xA9}), "ab\n\n a\u00e9");
  Json json = marked();
  json["decoder"] = {{"type", "ByteFallback"}};
  EXPECT_HAS(runtime_error_of([&] { load(json); }), "expected Replace ByteFallback Fuse");
  json = marked();
  json["normalizer"] = nullptr;
  EXPECT_HAS(runtime_error_of([&] { load(json); }), "unsupported");
  json = marked();
  json["model"]["vocab"].erase("<0x41>");
  EXPECT_HAS(runtime_error_of([&] { load(json); }), "<0x41>");
}

/// T5's kind.
Json words() {
  return Json::parse(R"({
    "added_tokens": [{"id": 1, "content": "</s>", "special": true, "normalized": false}],
    "normalizer": null,
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
        {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"}]},
    "decoder": {"type": "Metaspace", "replacement": "\u2581"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
      "special_tokens": {"</s>": {"ids": [1]}}},
    "model": {"type": "Unigram", "unk_id": 0,
              "vocab": [["<unk>", 0], ["</s>", 0], ["\u2581", -2], ["\u2581a", -3], ["b", -4]]}})");
}

TEST(TokenizerFile, LoadsUnigrams) {
  const Tokenizer tokenizer = load(words());
  EXPECT_EQ(tokenizer.encode(" a\n\u00a0b</s>b "), (Ids{3, 2, 4, 1, 2, 4, 1}));
  EXPECT_EQ(tokenizer.encode("a\u2581ab", false), (Ids{3, 3, 4}));
  EXPECT_EQ(tokenizer.decode(Ids{3, 2, 4, 0, 1}), "a b<unk></s>");
  EXPECT_EQ(tokenizer.decode(Ids{3, 2, 4, 0, 1}, true), "a b<unk>");
}

TEST(TokenizerFile, RefusesBrokenUnigrams) {
  const auto error_of = [](const std::string& pointer, const Json& value) {
    Json json = words();
    json[Json::json_pointer(pointer)] = value;
    return runtime_error_of([&] { load(json); });
  };
  EXPECT_HAS(error_of("/model/unk_id", 5), "'unk_id' is 5");
  EXPECT_HAS(error_of("/model/unk_id", nullptr), "'unk_id' is missing");
  EXPECT_HAS(error_of("/model/vocab/4", Json::array({"b"})), "is no pair");
  EXPECT_HAS(error_of("/model/vocab/4", Json::array({"<unk>", -1})), "stands twice");
  EXPECT_HAS(error_of("/model/byte_fallback", true), "'byte_fallback' is true");
  EXPECT_HAS(error_of("/pre_tokenizer/pretokenizers/1/prepend_scheme", "never"), "prepend_scheme");
  EXPECT_HAS(error_of("/pre_tokenizer/pretokenizers/0/type", "Digits"), "\"Digits\", unsupported");
  EXPECT_HAS(error_of("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "?"}}),
             "base64");
}

/// The small tokenizer with a tokenizer_config.json.
Tokenizer load_with(const std::string& config) {
  const TempDirectory dir;
  dir.write("tokenizer.json", small().dump());
  dir.write("tokenizer_config.json", config);
  return Tokenizer::load(dir.path());
}

TEST(TokenizerConfig, DecidesWhatStandsBesideAText) {
  EXPECT_EQ(load_with(R"({"bos_token": "<s>"})").encode("ab"), (Ids{258, 256}));
  EXPECT_EQ(load_with(R"({"bos_token": "<s>", "add_bos_token": false})").encode("ab"), Ids{256});
  const Tokenizer both = load_with(
      R"({"bos_token": {"content": "a"}, "eos_token": "<s>", "add_bos_token": true,
          "add_eos_token": true})");
  EXPECT_EQ(both.encode("ab"), (Ids{'a', 256, 258}));
  EXPECT_EQ(both.bos_id(), 'a');
  EXPECT_EQ(both.eos_id(), 258);
  EXPECT_EQ(load_with(R"({"bos_token": null, "add_bos_token": true})").encode("ab"), Ids{256});
  EXPECT_EQ(load_with("{}").eos_id(), -1);
}

TEST(TokenizerConfig, AddsTokens) {
  const Tokenizer tokenizer = load_with(
      R"({"added_tokens_decoder": {"258": {"content": "<s>", "special": true},
                                   "260": {"content": "<x>", "special": true}}})");
  EXPECT_EQ(tokenizer.encode("a<x>b", false), (Ids{'a', 260, 'b'}));
  EXPECT_TRUE(tokenizer.is_special(260));
  EXPECT_EQ(tokenizer.size(), 261);
}

TEST(TokenizerConfig, ClashesAreErrors) {
  for (const auto& [config, part] :
       {std::pair(R"({"added_tokens_decoder": {"97": {"content": "<x>"}}})", "clashes"),
        std::pair(R"({"bos_token": "<none>", "add_bos_token": true})", "bos_token")})
    EXPECT_NE(runtime_error_of([&] { load_with(config); }).find(part), std::string::npos) << config;
}

}  // namespace
}  // namespace stamp
