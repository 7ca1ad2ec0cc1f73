#include "stamp/text/sentencepiece_file.h"

#include <gtest/gtest.h>

#include <cmath>

#include "stamp/text/tokenizer.h"
#include "tests/io/test_files.h"
#include "tests/text/sentencepiece_parts.h"

namespace stamp {
namespace {

using Ids = std::vector<int32_t>;

std::string unigram_model() {
  return piece_field("<pad>", 0, 3) + piece_field("</s>", 0, 3) + piece_field("<unk>", 0, 2) +
         piece_field("\u2581", -2) + piece_field("\u2581a", -3) + piece_field("b", -4) +
         piece_field("xy", -5) + bytes_field(2, number_field(3, 1)) +
         bytes_field(3, bytes_field(2, small_charsmap()));
}

std::string bpe_model() {
  std::string model = piece_field("<pad>", 0, 3) + piece_field("<unk>", 0, 2);
  for (int i = 0; i < 256; ++i)
    model += piece_field(byte_token(static_cast<uint8_t>(i)), 0, 6);  // ids from 2
  for (const char* text : {"\u2581", "a", "b", "c"}) model += piece_field(text, -100);  // from 258
  model += piece_field("ab", -1) + piece_field("bc", 0) + piece_field("\u2581a", -3);   // from 262
  return model + bytes_field(2, number_field(3, 2) + number_field(35, 1)) +
         bytes_field(3, number_field(3, 0) + number_field(4, 0));
}

Tokenizer load(const std::string& model, const std::string& config = "{}") {
  const TempDirectory dir;
  dir.write("spiece.model", model);
  dir.write("tokenizer_config.json", config);
  return Tokenizer::load(dir.path());
}

TEST(SentencePieceFile, UnigramsCollapseBlanksAndMapCharacters) {
  const Tokenizer tokenizer = load(unigram_model());
  EXPECT_EQ(tokenizer.encode("  A   ABb "), (Ids{4, 3, 6, 5}));
  EXPECT_EQ(tokenizer.encode(" "), Ids{});
  EXPECT_EQ(tokenizer.encode("a??b"), (Ids{4, 2, 5}));
  EXPECT_EQ(tokenizer.decode(Ids{4, 3, 6, 5}), "a xyb");
}

TEST(SentencePieceFile, T5EndsTextsAndHasExtraTokens) {
  const Tokenizer tokenizer =
      load(unigram_model(),
           R"({"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "extra_ids": 3})");
  EXPECT_EQ(tokenizer.encode("a"), (Ids{4, 1}));
  EXPECT_EQ(tokenizer.encode("a<extra_id_0>b", false), (Ids{4, 9, 3, 5}));
  EXPECT_EQ(tokenizer.id_of("<extra_id_2>"), 7);
  EXPECT_EQ(tokenizer.size(), 10);
  EXPECT_EQ(tokenizer.decode(Ids{4, 1}, true), "a");
}

TEST(SentencePieceFile, BpeMergesByScoreAndFallsBackToBytes) {
  const Tokenizer tokenizer = load(bpe_model());
  EXPECT_EQ(tokenizer.encode("abc"), (Ids{259, 263}));  // "bc" has the better score
  EXPECT_EQ(tokenizer.encode(" ab"), (Ids{258, 262}));
  EXPECT_EQ(tokenizer.encode("\u00e9"), (Ids{2 + 0xC3, 2 + 0xA9}));
  EXPECT_EQ(tokenizer.decode(Ids{258, 262, 2 + 0xC3, 2 + 0xA9}), " ab\u00e9");
  // A run of byte tokens that is no UTF-8 becomes one replacement per token.
  EXPECT_EQ(tokenizer.decode(Ids{2 + 0xC3, 2 + 'x'}), "\uFFFD\uFFFD");
}

TEST(SentencePieceFile, NamesWhatItDoesNotSupport) {
  const std::string pieces = piece_field("<unk>", 0, 2) + piece_field("a", -1);
  const auto error_of = [](const std::string& model) {
    return runtime_error_of([&] { load(model); });
  };
  EXPECT_HAS(error_of(pieces + bytes_field(2, number_field(3, 3))), "model of type 3");
  EXPECT_HAS(error_of(pieces + bytes_field(3, number_field(3, 0))), "add_dummy_prefix");
  EXPECT_HAS(error_of(pieces + bytes_field(3, number_field(5, 0))), "escape_whitespaces");
  EXPECT_HAS(error_of(piece_field("a", -1)), "no piece for unknown");
  EXPECT_HAS(error_of(pieces + piece_field("a", -1)), "stands twice");
  EXPECT_HAS(error_of(pieces + piece_field("b", NAN)), "finite score");
  EXPECT_HAS(error_of("x"), "spiece.model");
}

TEST(SentencePieceFile, SmallFilesCannotCostMuch) {
  const auto error_of = [](const std::string& model, const TokenizerConfig& config = {}) {
    return runtime_error_of([&] { read_sentencepiece(model, "test", config); });
  };
  // Ways to cut a piece: quadratic in its length.
  EXPECT_HAS(error_of(bpe_model() + piece_field(std::string(2049, 'a'), -1)), "2049 bytes");
  EXPECT_EQ(error_of(bpe_model() + piece_field(std::string(2048, 'a'), -1)), "");
  // Two bytes of the file are a piece. All but the first are refused as repeated in the end, but
  // only after all of them were stored.
  std::string many;
  for (int64_t i = 0; i <= kMaxTokenId; ++i) many += std::string("\x0a\x00", 2);
  EXPECT_HAS(error_of(many), "pieces, got more");
  // Tokens beside the pieces, each sought among those before it.
  TokenizerConfig t5;
  t5.tokenizer_class = "T5Tokenizer";
  t5.extra_ids = 1 << 16;
  const TokenizerSpec spec = read_sentencepiece(unigram_model(), "test", t5);
  EXPECT_EQ(id_of(spec, "<extra_id_65535>"), 7);
}

TEST(SentencePieceFile, CutFilesAreErrors) {
  const std::string model = unigram_model();
  // A cut between two fields leaves a whole model with fewer of them.
  EXPECT_NE(runtime_error_of([&] { load(model.substr(0, model.size() - 1)); }), "");
  for (size_t size = 0; size < 60; ++size) {
    const std::string error = runtime_error_of([&] { load(model.substr(0, size)); });
    if (size < piece_field("<pad>", 0, 3).size()) {
      EXPECT_NE(error, "") << size;
    }
  }
}

TEST(SentencePieceFile, WithoutFilesTheErrorNamesTheJson) {
  const TempDirectory dir;
  EXPECT_HAS(runtime_error_of([&] { Tokenizer::load(dir.path()); }), "tokenizer.json");
  EXPECT_HAS(runtime_error_of([&] { Tokenizer::load_sentencepiece(dir.path()); }), "spiece.model");
}

}  // namespace
}  // namespace stamp
