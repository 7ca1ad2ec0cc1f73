#pragma once
// Tokens with their probabilities as OpenAI's API spells them.
#include "stamp/io/json.h"
#include "stamp/pipelines/generate.h"
#include "stamp/text/tokenizer.h"

namespace stamp {

/// JSON has no infinities: what OpenAI's API gives for them.
float finite_logprob(float log_probability);
/// The bytes of a token as text; what is no UTF-8 alone is replaced.
std::string token_text(const Tokenizer& tokenizer, int32_t id);
/// {"id", "token", "logprob", "bytes", "top_logprobs": [{"id", "token", "logprob", "bytes"}, ...]}.
Json to_json(const GeneratedToken& token, const Tokenizer& tokenizer);

}  // namespace stamp
