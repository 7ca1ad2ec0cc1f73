#include "stamp/text/chat_template.h"

#include <algorithm>

#include "stamp/core/error.h"

namespace stamp {

ChatTemplate ChatTemplate::load(const std::filesystem::path& directory) {
  const TokenizerConfig config = read_tokenizer_config(directory);
  if (config.chat_templates.empty())
    throw_runtime(
        "{}: expected a chat template ('chat_template' in tokenizer_config.json, or "
        "chat_template.jinja), got none; this model continues text: use 'stamp generate', or pass "
        "--chat-template FILE",
        directory.string());
  const auto found = std::find_if(config.chat_templates.begin(), config.chat_templates.end(),
                                  [](const auto& entry) { return entry.first == "default"; });
  if (found == config.chat_templates.end())
    throw_runtime("{}: expected a chat template named 'default', got only '{}'", directory.string(),
                  config.chat_templates.front().first);
  return ChatTemplate(found->second, (directory / "chat_template").string(), config);
}

ChatTemplate::ChatTemplate(std::string_view source, std::string name, const TokenizerConfig& config)
    : template_(source, std::move(name)), special_tokens_(jinja::OrderedJson::object()) {
  for (const auto& [key, text] : config.special_tokens) special_tokens_[key] = text;
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages, bool add_generation_prompt,
                                 const std::tm& now, int64_t max_steps) const {
  jinja::OrderedJson variables = special_tokens_;
  variables["messages"] = jinja::OrderedJson::array();
  for (const ChatMessage& message : messages)
    variables["messages"].push_back({{"role", message.role}, {"content", message.content}});
  variables["tools"] = nullptr;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = add_generation_prompt;
  return template_.render(variables, now, max_steps);
}

}  // namespace stamp
