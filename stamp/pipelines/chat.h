#pragma once
// A conversation with a model, whose past stays in the KV cache.
#include <ctime>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "stamp/pipelines/generate.h"
#include "stamp/text/chat_template.h"
#include "stamp/text/tokenizer.h"

namespace stamp {

struct ChatOptions {
  GenerateOptions generate;
  std::string system;       // message that stands first; empty: none
  int64_t capacity = 4096;  // tokens of the whole conversation, at most the model's positions
  std::tm now{};            // what templates that print a date print
};

struct ChatAnswer {
  std::string text;       // without special tokens
  int64_t kept = 0;       // tokens found in the cache
  int64_t prefilled = 0;  // tokens of the past that had to be computed, the message included
  int64_t generated = 0;  // tokens, the stop id included
  bool stopped = false;   // by a stop id, not by a limit or an interruption
};

class Chat {
 public:
  /// All arguments must outlive the chat. Throws std::invalid_argument for a capacity out of range.
  Chat(const Model& model, const Tokenizer& tokenizer, const ChatTemplate& chat_template,
       ChatOptions options, ForwardContext& context);

  /// Answers `message`; `on_text` gets the answer piece by piece, whole characters at a time. Only
  /// what the template adds to the past is computed, unless it changes what it rendered before
  /// (some drop earlier reasoning): then everything is. On an error (no room left:
  /// std::invalid_argument; a template that refuses: std::runtime_error) the conversation is as it
  /// was. An interrupted answer stays in the conversation as far as it came.
  ChatAnswer ask(const std::string& message,
                 const std::function<void(std::string_view)>& on_text = {});
  /// Forgets everything but the system message.
  void reset();

 private:
  void extend(const std::string& text);

  const Tokenizer& tokenizer_;
  const ChatTemplate& template_;
  ChatOptions options_;
  ForwardContext& context_;
  TokenSession session_;
  Rng rng_;
  std::vector<ChatMessage> messages_;
  std::string text_;  // what the session's tokens spell
};

}  // namespace stamp
