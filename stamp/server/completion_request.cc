#include "stamp/server/completion_request.h"

#include <algorithm>
#include <new>
#include <random>

#include "stamp/server/request_fields.h"

namespace stamp {
namespace {

constexpr size_t kMostStops = 4, kMostMessages = 4096;
constexpr int64_t kCompletionTokens = 16;  // what OpenAI's completions generate by default
constexpr int kMostCompletionLogprobs = 5, kMostChatLogprobs = 20;

uint64_t random_seed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

void read_sampling(const RequestFields& fields, const ServedModel& model, CompletionRequest& out) {
  out.generate = model.defaults;
  SamplingOptions& s = out.generate.sampling;
  s.temperature = fields.number("temperature", 0, 2).value_or(s.temperature);
  s.top_p = fields.number("top_p", 0, 1).value_or(s.top_p);
  s.top_p = std::max(s.top_p, 1e-9);  // 0: the likeliest token
  s.top_k = fields.integer("top_k", 0, INT32_MAX).value_or(s.top_k);
  s.repetition_penalty =
      fields.number("repetition_penalty", 0.01, 100).value_or(s.repetition_penalty);
  const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX);
  out.generate.seed = seed ? static_cast<uint64_t>(*seed) : random_seed();
  out.stop = fields.texts("stop", kMostStops);
  out.choices = fields.integer("n", 1, model.max_choices).value_or(1);
}

void read_delivery(const RequestFields& fields, CompletionRequest& out) {
  out.stream = fields.boolean("stream").value_or(false);
  if (const Json* options = fields.find("stream_options")) {
    out.include_usage = RequestFields(*options, "stream_options", {"include_usage"})
                            .boolean("include_usage")
                            .value_or(false);
  }
}

/// Members of OpenAI's API whose effect the server does not have.
void check_neutral(const RequestFields& fields) {
  for (const char* key : {"presence_penalty", "frequency_penalty"})
    if (fields.number(key, -2, 2).value_or(0) != 0) fields.reject(key, "only 0 is supported");
  if (const Json* bias = fields.find("logit_bias"); bias && *bias != Json::object())
    fields.reject("logit_bias", "only {} is supported");
  fields.text("user");
}

void check_model(const RequestFields& fields, const ServedModel& model) {
  const auto name = fields.text("model");
  if (!name) fields.missing("model");
  if (*name != model.name)
    throw ApiError(404, fmt::format("there is no model '{}', only '{}'", *name, model.name),
                   "model_not_found", "model");
}

void check_prompt(const std::vector<int32_t>& ids, const std::string& key,
                  const ServedModel& model) {
  try {
    BatchScheduler::check({.prompt = ids}, model.text.model->config());
  } catch (const std::invalid_argument& error) {
    const bool too_long =
        static_cast<int64_t>(ids.size()) >= model.text.model->config().max_positions;
    throw ApiError(400, error.what(), too_long ? "context_length_exceeded" : "invalid_value", key);
  }
}

std::vector<int32_t> read_ids(const Json& list, const RequestFields& fields) {
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX)
      fields.reject("prompt", "expected token ids");
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

/// A string, a list of ids, or a list of either.
void read_prompts(const RequestFields& fields, const ServedModel& model, CompletionRequest& out) {
  const Json* const prompt = fields.find("prompt");
  if (!prompt) fields.missing("prompt");
  const auto add = [&](const Json& item) {
    if (item == "")
      fields.reject("prompt", "expected a text that is not empty");
    else if (item.is_string())
      out.prompts.push_back(model.text.tokenizer.encode(item.get_ref<const std::string&>()));
    else if (item.is_array())
      out.prompts.push_back(read_ids(item, fields));
    else
      fields.reject("prompt", "expected a string, token ids, or a list of these");
  };
  const bool several = prompt->is_array() && !prompt->empty() && !prompt->front().is_number();
  if (!several) return add(*prompt);
  if (static_cast<int64_t>(prompt->size()) > model.max_choices)
    fields.reject("prompt", fmt::format("expected at most {} prompts", model.max_choices));
  for (const Json& item : *prompt) add(item);
}

/// A string, or a list of {"type": "text", "text": ...}.
std::string read_content(const Json* content, const RequestFields& message) {
  if (!content) message.missing("content");
  if (content->is_string()) return content->get<std::string>();
  if (!content->is_array()) message.reject("content", "expected a string or a list of texts");
  if (content->empty() || std::ssize(*content) > kMostContentParts)
    message.reject("content", fmt::format("expected 1 to {} parts", kMostContentParts));
  std::string text;
  for (const Json& item : *content) {
    const RequestFields part(item, "content", {"type", "text"});
    if (part.choice("type", {"text"}).value_or("") != "text")
      message.reject("content", "expected parts of type 'text'");
    const auto piece = part.text("text");
    if (!piece) part.missing("text");
    text += *piece;
  }
  return text;
}

std::vector<ChatMessage> read_messages(const RequestFields& fields) {
  const Json* const list = fields.find("messages");
  if (!list) fields.missing("messages");
  if (!list->is_array() || list->empty() || list->size() > kMostMessages)
    fields.reject("messages", fmt::format("expected a list of 1 to {} messages", kMostMessages));
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < list->size(); ++i) {
    const RequestFields message((*list)[i], fmt::format("messages[{}]", i),
                                {"role", "content", "name"});
    auto role = message.choice("role", {"system", "developer", "user", "assistant"});
    if (!role) message.missing("role");
    message.text("name");
    if (*role == "developer") role = "system";
    messages.push_back({*role, read_content(message.find("content"), message)});
  }
  return messages;
}

void read_conversation(const RequestFields& fields, const ServedModel& model, const std::tm& now,
                       CompletionRequest& out) {
  const std::vector<ChatMessage> messages = read_messages(fields);
  if (!model.chat_template)
    throw ApiError(400,
                   "the model has no chat template: use /v1/completions, or start the server with "
                   "--chat-template",
                   "no_chat_template");
  std::string text;
  try {
    text = model.chat_template->render(messages, true, now);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw ApiError(400, error.what(), "chat_template", "messages");
  }
  out.prompts.push_back(model.text.tokenizer.encode(text, false));
}

void read_tokens(const RequestFields& fields, const ServedModel& model, CompletionRequest& out) {
  auto tokens = fields.integer("max_tokens", 1, model.max_tokens);
  if (out.chat)
    if (const auto newer = fields.integer("max_completion_tokens", 1, model.max_tokens))
      tokens = newer;
  out.generate.max_new_tokens =
      tokens.value_or(out.chat ? model.max_tokens : std::min(kCompletionTokens, model.max_tokens));
}

void read_logprobs(const RequestFields& fields, CompletionRequest& out) {
  if (!out.chat) {
    out.top_logprobs =
        static_cast<int>(fields.integer("logprobs", 0, kMostCompletionLogprobs).value_or(-1));
    return;
  }
  const bool wanted = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, kMostChatLogprobs);
  if (wanted) out.top_logprobs = static_cast<int>(top.value_or(0));
}

RequestFields members(const Json& body, bool chat) {
  if (chat)
    return {
        body,
        "",
        {"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p",
         "top_k", "repetition_penalty", "seed", "stop", "n", "stream", "stream_options", "logprobs",
         "top_logprobs", "presence_penalty", "frequency_penalty", "logit_bias", "user"}};
  return {body,
          "",
          {"model", "prompt", "max_tokens", "temperature", "top_p", "top_k", "repetition_penalty",
           "seed", "stop", "n", "stream", "stream_options", "logprobs", "presence_penalty",
           "frequency_penalty", "logit_bias", "user"}};
}

}  // namespace

CompletionRequest read_completion(const Json& body, bool chat, const ServedModel& model,
                                  const std::tm& now) {
  CompletionRequest out{.chat = chat};
  const RequestFields fields = members(body, chat);
  check_model(fields, model);
  read_sampling(fields, model, out);
  read_delivery(fields, out);
  check_neutral(fields);
  read_tokens(fields, model, out);
  read_logprobs(fields, out);
  if (chat)
    read_conversation(fields, model, now, out);
  else
    read_prompts(fields, model, out);
  for (const auto& ids : out.prompts) check_prompt(ids, chat ? "messages" : "prompt", model);
  return out;
}

}  // namespace stamp
