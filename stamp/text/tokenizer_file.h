#pragma once
// Tokenizer files as plain data.
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stamp/io/json.h"
#include "stamp/text/added_tokens.h"
#include "stamp/text/bpe.h"
#include "stamp/text/charsmap.h"
#include "stamp/text/space_marks.h"
#include "stamp/text/tokenizer_config.h"

namespace stamp {

/// Cutting at the matches of a regex; `matches_only`: what lies between them is dropped.
struct SplitStage {
  std::string regex;
  bool matches_only = false;
};

enum class TokenModel { kByteBpe, kCharacterBpe, kUnigram };

struct TokenizerSpec {
  TokenModel model = TokenModel::kByteBpe;
  Vocabulary vocabulary;
  Merges merges;
  std::vector<double> scores;  // kUnigram: by id; NaN: not a piece of texts
  bool ignore_merges = false;
  bool byte_fallback = false;
  int32_t unknown = -1;
  std::string word_suffix;  // kByteBpe: see BpeOptions
  // Text is normalized to form C, runs of white space become one blank, letters lower case: in
  // this order.
  bool nfc = false, collapse_white_space = false, lower_case = false;
  Charsmap charsmap;
  SpaceRule spaces = SpaceRule::kKeep;
  std::vector<SplitStage> splits;  // applied one after the other
  std::vector<AddedToken> added_tokens;
  std::vector<int32_t> prefix, suffix;  // ids that the template puts around a text
};

/// What a tokenizer.json says: byte-level BPE, also CLIP's with its suffix of words; BPE of
/// characters whose blanks are marks, with byte fallback (Gemma); Unigram after a precompiled
/// character map, word by word (T5). Throws std::runtime_error naming `where`, key and value for
/// anything that Tokenizer does not support, and for ids that clash or are no sensible index.
TokenizerSpec read_tokenizer_file(const Json& json, const std::string& where);

/// Adds the tokens of `config` that the file lacks; its add_bos_token and add_eos_token, when
/// present, decide what stands before and after a text. Throws like read_tokenizer_file().
void apply_config(TokenizerSpec& spec, const TokenizerConfig& config, const std::string& where);

/// Id of an exact token, -1 when there is none.
int32_t id_of(const TokenizerSpec& spec, const std::string& content);
/// One id, one text; an added token may repeat an entry of the vocabulary. Throws
/// std::runtime_error.
void check_ids(const TokenizerSpec& spec, const std::string& where);

inline constexpr int64_t kMaxTokenId = (int64_t{1} << 22) - 1;  // ids index tables

}  // namespace stamp
