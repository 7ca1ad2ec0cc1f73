#include "stamp/pipelines/token_json.h"

#include <algorithm>

#include "stamp/text/unicode.h"

namespace stamp {
namespace {

Json entry_of(const TokenLogProbability& token, const Tokenizer& tokenizer) {
  const std::string bytes = tokenizer.token_bytes(token.id);
  return {{"id", token.id},
          {"token", token_text(tokenizer, token.id)},
          {"logprob", finite_logprob(token.value)},
          {"bytes", std::vector<uint8_t>(bytes.begin(), bytes.end())}};
}

}  // namespace

float finite_logprob(float log_probability) { return std::max(log_probability, -9999.0f); }

std::string token_text(const Tokenizer& tokenizer, int32_t id) {
  return replace_invalid_utf8(tokenizer.token_bytes(id));
}

Json to_json(const GeneratedToken& token, const Tokenizer& tokenizer) {
  Json json = entry_of({token.id, token.log_probability}, tokenizer);
  json["top_logprobs"] = Json::array();
  for (const TokenLogProbability& top : token.top)
    json["top_logprobs"].push_back(entry_of(top, tokenizer));
  return json;
}

}  // namespace stamp
