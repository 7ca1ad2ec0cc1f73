#pragma once
// SentencePiece model files (spiece.model, tokenizer.model): protocol buffers read by hand.
#include <filesystem>
#include <string>
#include <string_view>

#include "stamp/text/tokenizer_file.h"

namespace stamp {

/// Unigram models (T5) and BPE models with byte fallback (Gemma). The result treats texts as the
/// library sentencepiece does. `config`: a T5Tokenizer appends its eos_token and has `extra_ids`
/// further tokens, numbered backwards after the pieces. Throws std::runtime_error naming the file
/// for broken files, for other kinds of models and for pieces of more than 2048 bytes.
TokenizerSpec read_sentencepiece_file(const std::filesystem::path& path,
                                      const TokenizerConfig& config);
/// The same of a file's bytes; errors begin with `where`.
TokenizerSpec read_sentencepiece(std::string_view bytes, const std::string& where,
                                 const TokenizerConfig& config);

}  // namespace stamp
