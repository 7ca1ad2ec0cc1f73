#pragma once
// Text of an answer as its tokens come, up to the first stop string.
#include "stamp/text/stream_decoder.h"

namespace stamp {

class CompletionText {
 public:
  CompletionText(const Tokenizer& tokenizer, std::vector<std::string> stops)
      : decoder_(tokenizer), stops_(std::move(stops)) {}

  /// What `id` adds for certain: an end that may become a stop string is held back.
  std::string push(int32_t id) { return add(decoder_.push(id)); }
  /// What was held back, once no more tokens come. Bytes of an unfinished character are dropped.
  std::string finish();
  /// A stop string was found: nothing follows.
  bool stopped() const { return stopped_; }

 private:
  std::string add(const std::string& piece);

  StreamDecoder decoder_;
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace stamp
