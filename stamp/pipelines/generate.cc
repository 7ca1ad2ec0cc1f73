#include "stamp/pipelines/generate.h"

#include <algorithm>

#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/core/progress.h"

namespace stamp {
namespace {

constexpr int64_t kPrefillTokens = 2048;  // of one chunk: bounds the memory of activations

bool is_stop(const GenerateOptions& options, int32_t id) {
  return std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end();
}

bool is_stopped(const Model& model) {
  return model.split() == ModelSplit::kNone ? interrupted() : job_interrupted();
}

}  // namespace

GeneratedToken draw_token(std::span<float> logits, std::span<const int32_t> seen,
                          const GenerateOptions& options, Rng& rng) {
  // Before sampling, which changes the logits.
  std::vector<float> own;
  if (options.top_logprobs >= 0) own.assign(logits.begin(), logits.end());
  GeneratedToken token{.id = sample_token(logits, seen, options.sampling, rng)};
  token.stops = is_stop(options, token.id);
  if (options.top_logprobs < 0) return token;
  const LogProbabilities probabilities(own);
  token.log_probability = probabilities.of(token.id);
  token.top = probabilities.top(options.top_logprobs);
  return token;
}

TokenSession::TokenSession(const Model& model, int64_t capacity)
    : model_(model), cache_(model.make_cache(capacity)) {}

TokenSession::TokenSession(const Model& model, std::vector<int32_t> ids, KvCache cache,
                           Matrix last_hidden)
    : model_(model),
      cache_(std::move(cache)),
      ids_(std::move(ids)),
      last_hidden_(std::move(last_hidden)) {}

void TokenSession::append(std::span<const int32_t> ids) {
  if (static_cast<int64_t>(ids.size()) > room())
    throw_argument("generate: {} more tokens do not fit after {} of at most {}", ids.size(),
                   ids_.size(), cache_.capacity());
  if (ids.empty()) return;
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  last_hidden_ = {};
}

void TokenSession::clear() {
  ids_.clear();
  cache_.clear();
  last_hidden_ = {};
}

void TokenSession::truncate(int64_t count) {
  if (count >= static_cast<int64_t>(ids_.size())) return;
  const int64_t kept = cache_.forkable(count);
  cache_ = cache_.fork(kept);
  ids_.resize(static_cast<size_t>(kept));
  last_hidden_ = {};
}

/// In chunks of nearly equal length.
bool TokenSession::prefill(ForwardContext& context) {
  const auto pending = std::span<const int32_t>(ids_).subspan(static_cast<size_t>(cached()));
  const int64_t tokens = static_cast<int64_t>(pending.size());
  const int64_t chunks = (tokens + kPrefillTokens - 1) / kPrefillTokens;
  for (int64_t i = 0; i < chunks; ++i) {
    if (is_stopped(model_)) return false;
    const int64_t begin = tokens * i / chunks, end = tokens * (i + 1) / chunks;
    const Matrix hidden = model_.forward(
        pending.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), cache_,
        context);
    if (end == tokens && model_.has_output())
      last_hidden_ = Matrix::copy_of(hidden.view().rows_from(hidden.rows() - 1, 1));
  }
  return last_hidden_.rows() > 0 || !model_.has_output();
}

std::vector<int32_t> TokenSession::generate(const GenerateOptions& options, Rng& rng,
                                            ForwardContext& context,
                                            const TokenCallback& on_token) {
  if (options.max_new_tokens < 0)
    throw_argument("generate: expected max_new_tokens >= 0, got {}", options.max_new_tokens);
  if (options.top_logprobs >= 0 && model_.split() == ModelSplit::kPipeline)
    throw_argument("generate: the last process of a pipeline alone knows log-probabilities");
  if (cached() == static_cast<int64_t>(ids_.size()) && last_hidden_.rows() == 0)
    throw_argument("generate: there is nothing to continue");
  const size_t length = ids_.size();
  const size_t limit = length + static_cast<size_t>(std::min(options.max_new_tokens, room()));
  if (limit == length) return {};
  if (!prefill(context)) return {};
  Matrix logits(1, model_.config().vocab_size);
  while (!is_stopped(model_)) {
    GeneratedToken token;
    if (model_.has_output()) {
      model_.logits(last_hidden_.view(), logits.view(), context);
      token = draw_token(logits.view().row_span(0), ids_, options, rng);
    }
    if (model_.split() != ModelSplit::kNone) {  // all go on with the same one
      communicator().broadcast(std::as_writable_bytes(std::span(&token.id, 1)),
                               model_.output_process());
      token.stops = is_stop(options, token.id);
    }
    append({&token.id, 1});
    const bool wanted = !on_token || on_token(token);
    if (!wanted || token.stops || ids_.size() == limit) break;
    last_hidden_ = model_.forward({&token.id, 1}, cache_, context);
  }
  return {ids_.begin() + static_cast<std::ptrdiff_t>(length), ids_.end()};
}

int64_t session_capacity(const LlmConfig& config, int64_t length, int64_t max_new_tokens) {
  const int64_t positions = config.max_positions;
  if (length == 0) throw_argument("generate: the prompt is empty");
  if (length > positions)
    throw_argument("generate: a prompt of {} tokens exceeds the model's {} positions", length,
                   positions);
  return length + std::clamp<int64_t>(max_new_tokens, 0, positions - length);
}

TokenSession open_session(const Model& model, std::span<const int32_t> prompt,
                          int64_t max_new_tokens) {
  const auto length = static_cast<int64_t>(prompt.size());
  TokenSession session(model, session_capacity(model.config(), length, max_new_tokens));
  session.append(prompt);
  return session;
}

std::vector<int32_t> generate_ids(const Model& model, std::span<const int32_t> prompt,
                                  const GenerateOptions& options, ForwardContext& context,
                                  const TokenCallback& on_token) {
  TokenSession session = open_session(model, prompt, options.max_new_tokens);
  Rng rng(options.seed);
  return session.generate(options, rng, context, on_token);
}

}  // namespace stamp
