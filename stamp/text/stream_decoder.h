#pragma once
// Text of tokens as they come.
#include <string>

#include "stamp/text/tokenizer.h"

namespace stamp {

/// Joins the bytes of tokens and gives out whole characters; special tokens print nothing.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}
  /// What `id` completes.
  std::string push(int32_t id);

 private:
  const Tokenizer& tokenizer_;
  std::string pending_;
};

}  // namespace stamp
