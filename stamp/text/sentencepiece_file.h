#pragma once
// SentencePiece model files (spiece.model, tokenizer.model): protocol buffers read by hand.
#include <filesystem>

#include "stamp/text/tokenizer_file.h"

namespace stamp {

/// Unigram models (T5) and BPE models with byte fallback (Gemma). The result treats texts as the
/// library sentencepiece does. `config`: a T5Tokenizer appends its eos_token and has `extra_ids`
/// further tokens, numbered backwards after the pieces. Throws std::runtime_error naming the file
/// for broken files and for other kinds of models.
TokenizerSpec read_sentencepiece_file(const std::filesystem::path& path,
                                      const TokenizerConfig& config);

}  // namespace stamp
