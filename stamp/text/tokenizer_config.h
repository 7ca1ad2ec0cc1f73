#pragma once
// tokenizer_config.json, and the chat templates beside it.
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "stamp/text/added_tokens.h"

namespace stamp {

class ConfigReader;

struct TokenizerConfig {
  std::string tokenizer_class;  // "T5Tokenizer"; empty when absent
  int32_t extra_ids = 100;      // of T5
  /// Texts by name: bos_token, eos_token, unk_token, ...; those that are null are left out.
  std::vector<std::pair<std::string, std::string>> special_tokens;
  /// When present they replace the template of tokenizer.json.
  std::optional<bool> add_bos_token, add_eos_token;
  std::vector<AddedToken> added_tokens;  // of added_tokens_decoder
  /// Sources by name; a single one is called "default". chat_template.jinja goes first.
  std::vector<std::pair<std::string, std::string>> chat_templates;

  /// Text of a special token, empty when there is none.
  std::string special_token(const std::string& name) const;
};

/// Reads DIR/tokenizer_config.json and DIR/chat_template.jinja, each if it exists, or what a GGUF
/// file says instead (model_files.h). Throws
/// std::runtime_error naming file, key and value for what is not as transformers writes it.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& model);
/// The same of a tokenizer_config.json that was read.
TokenizerConfig read_tokenizer_config(const ConfigReader& root);

}  // namespace stamp
