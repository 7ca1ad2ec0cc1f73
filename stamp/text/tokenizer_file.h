#pragma once
// tokenizer.json as plain data.
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "stamp/text/added_tokens.h"
#include "stamp/text/bpe.h"
#include "stamp/text/tokenizer_config.h"

namespace stamp {

struct TokenizerSpec {
  Vocabulary vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;  // in order of rank
  bool ignore_merges = false;
  bool nfc = false;                        // normalize text to form C
  std::vector<std::string> split_regexes;  // applied one after the other
  std::vector<AddedToken> added_tokens;
  std::vector<int32_t> prefix, suffix;  // ids that the template puts around a text
};

/// Reads a byte-level BPE tokenizer. Throws std::runtime_error naming file, key and value for
/// anything that Tokenizer does not support, and for ids that clash or are no sensible index.
TokenizerSpec read_tokenizer_file(const std::filesystem::path& path);

/// Adds the tokens of `config` that tokenizer.json lacks; its add_bos_token and add_eos_token, when
/// present, decide what stands before and after a text. Throws like read_tokenizer_file().
void apply_config(TokenizerSpec& spec, const TokenizerConfig& config, const std::string& where);

}  // namespace stamp
