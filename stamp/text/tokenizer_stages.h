#pragma once
// The stages around the model in a tokenizer.json.
#include "stamp/io/config_reader.h"
#include "stamp/text/tokenizer_file.h"

namespace stamp {

/// Normalizer, pre-tokenizer, post-processor and decoder of `root` into `spec`, whose `model` and
/// `byte_fallback` are set. Throws std::runtime_error naming key and value for stages that are not
/// supported or do not belong to that model.
void read_tokenizer_stages(const ConfigReader& root, TokenizerSpec& spec);
/// True when texts go through a ByteLevel pre-tokenizer.
bool is_byte_level(const ConfigReader& root);

}  // namespace stamp
