#pragma once
// CLIP's tokenizer from vocab.json and merges.txt, as directories without a tokenizer.json have it.
#include <filesystem>

#include "stamp/text/tokenizer_file.h"

namespace stamp {

/// True when DIR has both files and `config` names CLIPTokenizer or no class.
bool is_clip_vocabulary(const std::filesystem::path& directory, const TokenizerConfig& config);
/// The stages of transformers' CLIPTokenizer around the vocabulary: form C, runs of white space as
/// one blank, lower case; contractions, words, single digits and runs of other characters, whose
/// last byte carries "</w>"; bos_token and eos_token of `config` (by default <|startoftext|> and
/// <|endoftext|>) around a text. Throws std::runtime_error as read_tokenizer_file().
TokenizerSpec read_clip_vocabulary(const std::filesystem::path& directory,
                                   const TokenizerConfig& config);

}  // namespace stamp
