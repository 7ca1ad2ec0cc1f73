#include "stamp/pipelines/chat.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/text/stream_decoder.h"

namespace stamp {
namespace {

bool ends_with_stop(const std::vector<int32_t>& ids, const std::vector<int64_t>& stop_ids) {
  return !ids.empty() && std::find(stop_ids.begin(), stop_ids.end(), ids.back()) != stop_ids.end();
}

std::string spelled(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  std::string text;
  for (const int32_t id : ids) text += tokenizer.token_bytes(id);
  return text;
}

}  // namespace

Chat::Chat(const Model& model, const Tokenizer& tokenizer, const ChatTemplate& chat_template,
           ChatOptions options, ForwardContext& context)
    : tokenizer_(tokenizer),
      template_(chat_template),
      options_(std::move(options)),
      context_(context),
      session_(model, options_.capacity),
      rng_(options_.generate.seed) {
  reset();
}

void Chat::reset() {
  session_.clear();
  text_.clear();
  messages_.clear();
  if (!options_.system.empty()) messages_.push_back({"system", options_.system});
}

/// Makes the session spell `text`, keeping what it holds when `text` goes on from there.
void Chat::extend(const std::string& text) {
  const bool goes_on = !text_.empty() && text.starts_with(text_) && text.size() > text_.size();
  const std::vector<int32_t> ids =
      tokenizer_.encode(std::string_view(text).substr(goes_on ? text_.size() : 0), false);
  if (ids.empty()) throw_argument("chat: the template leaves the conversation empty");
  const int64_t room =
      session_.room() + (goes_on ? 0 : static_cast<int64_t>(session_.ids().size()));
  if (static_cast<int64_t>(ids.size()) >= room)
    throw_argument(
        "chat: {} more tokens do not fit the conversation's {} (room for {}); forget it with "
        "/reset or start with a larger --context",
        ids.size(), options_.capacity, room);
  if (!goes_on) session_.clear();
  session_.append(ids);
  text_ = text;
}

ChatAnswer Chat::ask(const std::string& message,
                     const std::function<void(std::string_view)>& on_text) {
  std::vector<ChatMessage> messages = messages_;
  messages.push_back({"user", message});
  extend(template_.render(messages, true, options_.now));

  ChatAnswer answer{.kept = session_.cached()};
  answer.prefilled = static_cast<int64_t>(session_.ids().size()) - answer.kept;
  StreamDecoder decoder(tokenizer_);
  std::vector<int32_t> ids =
      session_.generate(options_.generate, rng_, context_, [&](const GeneratedToken& token) {
        const std::string piece = decoder.push(token.id);
        if (on_text && !piece.empty()) on_text(piece);
        return true;
      });
  answer.generated = static_cast<int64_t>(ids.size());
  answer.stopped = ends_with_stop(ids, options_.generate.stop_ids);
  answer.text = tokenizer_.decode(ids, true);
  text_ += spelled(tokenizer_, ids);
  if (answer.stopped) ids.pop_back();
  messages.push_back({"assistant", tokenizer_.decode(ids)});
  messages_ = std::move(messages);
  return answer;
}

}  // namespace stamp
