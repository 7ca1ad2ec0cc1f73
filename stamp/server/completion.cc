#include "stamp/server/completion.h"

#include <algorithm>
#include <ctime>
#include <new>
#include <random>

#include "stamp/pipelines/token_json.h"
#include "stamp/server/completion_text.h"

namespace stamp {
namespace {

using Clock = SequenceRequest::Clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string random_id(bool chat) {
  std::random_device device;
  return fmt::format("{}-{:08x}{:08x}{:08x}", chat ? "chatcmpl" : "cmpl", device(), device(),
                     device());
}

struct Choice {
  CompletionText text;
  std::string whole;                   // unless streamed
  std::vector<GeneratedToken> unsent;  // with probabilities
  std::string finish;
  int64_t offset = 0;  // characters sent, of text_offset
};

/// The answer to one request. Its members run in the engine's thread.
class Answer {
 public:
  Answer(CompletionRequest request, const CompletionServices& services,
         std::shared_ptr<HttpReply> reply)
      : request_(std::move(request)),
        services_(services),
        reply_(std::move(reply)),
        id_(random_id(request_.chat)),
        created_(std::time(nullptr)) {
    const size_t count = request_.prompts.size() * static_cast<size_t>(request_.choices);
    for (size_t i = 0; i < count; ++i) choices_.push_back({.text = {tokenizer(), request_.stop}});
    left_ = count;
  }

  std::vector<SequenceRequest> sequences(const std::shared_ptr<Answer>& self) {
    std::vector<SequenceRequest> sequences;
    const auto timeout = std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(services_.timeout_seconds));
    for (size_t i = 0; i < choices_.size(); ++i) {
      SequenceRequest sequence{
          .prompt = request_.prompts[i / static_cast<size_t>(request_.choices)],
          .generate = request_.generate,
          .deadline = start_ + timeout,
          .cancelled = cancelled_,
          .on_token = [self, i](const GeneratedToken& token) { return self->add(i, token); },
          .on_end = [self, i](const SequenceEnd& end) { self->end_or_fail(i, end); }};
      sequence.generate.seed += i;
      sequence.generate.top_logprobs = request_.top_logprobs;
      sequences.push_back(std::move(sequence));
    }
    return sequences;
  }
  const std::shared_ptr<std::atomic<bool>>& cancelled() const { return cancelled_; }

 private:
  const Tokenizer& tokenizer() const { return services_.model.text.tokenizer; }
  const char* route() const { return request_.chat ? "/v1/chat/completions" : "/v1/completions"; }

  bool add(size_t index, const GeneratedToken& token) {
    if (std::exchange(heard_, true) == false)
      services_.metrics.observe_first_token(seconds_since(start_));
    Choice& choice = choices_[index];
    const std::string piece = token.stops ? std::string() : choice.text.push(token.id);
    if (request_.top_logprobs >= 0) choice.unsent.push_back(token);
    if (!request_.stream)
      choice.whole += piece;
    else if (!piece.empty() || !choice.unsent.empty())
      send_piece(index, piece);
    return !choice.text.stopped();
  }

  /// Where there is no memory for the answer, an error or the end of the stream may still get out.
  void end_or_fail(size_t index, const SequenceEnd& sequence_end) {
    try {
      end(index, sequence_end);
    } catch (const std::bad_alloc&) {
      *cancelled_ = true;
      if (begun_) return reply_->end();
      reply_->send(
          {.status = 500, .body = dump(to_json(ApiError(500, "not enough memory", "failed")))});
    }
  }

  void end(size_t index, const SequenceEnd& end) {
    Choice& choice = choices_[index];
    if (index % static_cast<size_t>(request_.choices) == 0) prompt_tokens_ += end.prompt_tokens;
    completion_tokens_ += end.generated_tokens;
    reused_tokens_ += end.reused_tokens;
    choice.finish = end.reason == FinishReason::kLength ? "length" : "stop";
    if (end.reason != FinishReason::kStop && end.reason != FinishReason::kLength) {
      if (!error_) error_ = error_of(end);
      *cancelled_ = true;  // the other choices
    } else if (!request_.stream) {
      choice.whole += choice.text.finish();
    } else {
      if (const std::string rest = choice.text.finish(); !rest.empty()) send_piece(index, rest);
      send_event(chunk(index, request_.chat ? Json{{"delta", Json::object()}} : Json{{"text", ""}},
                       choice.finish));
    }
    if (--left_ == 0) finish();
  }

  ApiError error_of(const SequenceEnd& end) const {
    if (end.reason == FinishReason::kTimeout)
      return {504, "the answer took longer than the server allows", "timeout"};
    if (end.reason == FinishReason::kCancelled && *cancelled_)
      return {499, "the client left", "cancelled"};  // for the metrics: nobody reads it
    if (end.reason == FinishReason::kCancelled)
      return {503, "the server is shutting down", "cancelled"};
    return {500, end.error, "failed"};
  }

  void finish() {
    services_.metrics.observe_answer(seconds_since(start_));
    const int status = error_ && !begun_ ? error_->status : 200;
    services_.metrics.count_answer(route(), status);
    if (error_ && !begun_) return reply_->send({.status = status, .body = dump(to_json(*error_))});
    if (!request_.stream) return reply_->send({.body = dump(whole())});
    if (error_) {
      send_event(to_json(*error_));
    } else {
      if (request_.include_usage) {
        Json event = envelope();
        event["choices"] = Json::array();
        event["usage"] = usage();
        send_event(event);
      }
      reply_->write("data: [DONE]\n\n");
    }
    reply_->end();
  }

  Json envelope() const {
    const char* const kind = !request_.chat    ? "text_completion"
                             : request_.stream ? "chat.completion.chunk"
                                               : "chat.completion";
    return {{"id", id_}, {"object", kind}, {"created", created_}, {"model", services_.model.name}};
  }

  Json usage() const {
    return {{"prompt_tokens", prompt_tokens_},
            {"completion_tokens", completion_tokens_},
            {"total_tokens", prompt_tokens_ + completion_tokens_},
            {"prompt_tokens_details", {{"cached_tokens", reused_tokens_}}}};
  }

  Json whole() {
    Json result = envelope();
    result["choices"] = Json::array();
    for (size_t i = 0; i < choices_.size(); ++i) {
      Choice& choice = choices_[i];
      Json item = {{"index", i}, {"finish_reason", choice.finish}, {"logprobs", logprobs(choice)}};
      if (request_.chat)
        item["message"] = {{"role", "assistant"}, {"content", choice.whole}, {"refusal", nullptr}};
      else
        item["text"] = choice.whole;
      result["choices"].push_back(std::move(item));
    }
    result["usage"] = usage();
    return result;
  }

  /// `part` of choice `index` as an event's JSON.
  Json chunk(size_t index, Json part, const std::string& finish = "") {
    part["index"] = index;
    part["logprobs"] = logprobs(choices_[index]);
    part["finish_reason"] = finish.empty() ? Json() : Json(finish);
    Json event = envelope();
    event["choices"] = Json::array({std::move(part)});
    if (request_.include_usage) event["usage"] = nullptr;
    return event;
  }

  void send_piece(size_t index, const std::string& piece) {
    send_event(chunk(
        index, request_.chat ? Json{{"delta", {{"content", piece}}}} : Json{{"text", piece}}));
  }

  void send_event(const Json& event) {
    if (!std::exchange(begun_, true)) {
      reply_->begin(
          {.content_type = "text/event-stream", .headers = {{"Cache-Control", "no-cache"}}});
      for (size_t i = 0; request_.chat && i < choices_.size(); ++i) {
        const Json delta = {{"role", "assistant"}, {"content", ""}};
        Json first = envelope();
        first["choices"] = Json::array(
            {{{"index", i}, {"delta", delta}, {"logprobs", nullptr}, {"finish_reason", nullptr}}});
        if (request_.include_usage) first["usage"] = nullptr;
        reply_->write("data: " + dump(first) + "\n\n");
      }
    }
    reply_->write("data: " + dump(event) + "\n\n");
  }

  std::string text_of(int32_t id) const { return token_text(tokenizer(), id); }

  /// Of the tokens that came since the last call.
  Json logprobs(Choice& choice) {
    if (request_.top_logprobs < 0) return nullptr;
    const std::vector<GeneratedToken> tokens = std::exchange(choice.unsent, {});
    return request_.chat ? chat_logprobs(tokens) : completion_logprobs(tokens, choice);
  }

  Json chat_logprobs(const std::vector<GeneratedToken>& tokens) const {
    Json content = Json::array();
    for (const GeneratedToken& token : tokens) content.push_back(to_json(token, tokenizer()));
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }

  Json completion_logprobs(const std::vector<GeneratedToken>& tokens, Choice& choice) const {
    Json result = {{"tokens", Json::array()},
                   {"token_logprobs", Json::array()},
                   {"top_logprobs", Json::array()},
                   {"text_offset", Json::array()}};
    for (const GeneratedToken& token : tokens) {
      const std::string text = text_of(token.id);
      result["tokens"].push_back(text);
      result["token_logprobs"].push_back(finite_logprob(token.log_probability));
      result["text_offset"].push_back(choice.offset);
      choice.offset +=
          std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
      Json top = Json::object();
      for (const TokenLogProbability& likely : token.top)
        top[text_of(likely.id)] = finite_logprob(likely.value);
      result["top_logprobs"].push_back(std::move(top));
    }
    return result;
  }

  const CompletionRequest request_;
  const CompletionServices services_;
  const std::shared_ptr<HttpReply> reply_;
  const std::string id_;
  const int64_t created_;
  const Clock::time_point start_ = Clock::now();
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::vector<Choice> choices_;
  size_t left_ = 0;
  bool heard_ = false, begun_ = false;
  std::optional<ApiError> error_;
  int64_t prompt_tokens_ = 0, completion_tokens_ = 0, reused_tokens_ = 0;
};

}  // namespace

bool start_completion(CompletionRequest request, const CompletionServices& services,
                      const std::shared_ptr<HttpReply>& reply) {
  const auto answer = std::make_shared<Answer>(std::move(request), services, reply);
  reply->on_close([cancelled = answer->cancelled()] { *cancelled = true; });
  return services.engine.submit(answer->sequences(answer));
}

}  // namespace stamp
