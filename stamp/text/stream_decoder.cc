#include "stamp/text/stream_decoder.h"

#include "stamp/text/utf8.h"

namespace stamp {

std::string StreamDecoder::push(int32_t id) {
  if (!tokenizer_.is_special(id)) pending_ += tokenizer_.token_bytes(id);
  const size_t complete = complete_utf8_prefix(pending_);
  std::string text = pending_.substr(0, complete);
  pending_.erase(0, complete);
  return text;
}

}  // namespace stamp
