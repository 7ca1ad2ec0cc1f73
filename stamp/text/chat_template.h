#pragma once
// How a conversation becomes the text that a model continues.
#include <ctime>
#include <filesystem>
#include <span>
#include <string>

#include "stamp/text/jinja/jinja.h"
#include "stamp/text/tokenizer_config.h"

namespace stamp {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

class ChatTemplate {
 public:
  /// The default template of a model directory or GGUF file: chat_template.jinja, else
  /// `chat_template` of tokenizer_config.json. Throws std::runtime_error when there is none or it
  /// cannot be parsed.
  static ChatTemplate load(const std::filesystem::path& directory);
  /// The template `source`, called `name` in errors, with the special tokens of `config`.
  ChatTemplate(std::string_view source, std::string name, const TokenizerConfig& config);

  /// Text of a conversation, up to where the assistant begins to speak with
  /// `add_generation_prompt`. `now` is the time that templates may print. Throws std::runtime_error
  /// naming the line when the template refuses the messages or takes more than `max_steps`.
  std::string render(std::span<const ChatMessage> messages, bool add_generation_prompt,
                     const std::tm& now, int64_t max_steps = jinja::kMaxSteps) const;

 private:
  jinja::Template template_;
  jinja::OrderedJson special_tokens_;
};

}  // namespace stamp
