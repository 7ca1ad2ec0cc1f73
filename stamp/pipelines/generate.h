#pragma once
// Text generation with a KV cache.
#include <functional>
#include <span>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/models/model.h"
#include "stamp/text/log_probabilities.h"
#include "stamp/text/sampling.h"

namespace stamp {

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_new_tokens = 128;
  std::vector<int64_t> stop_ids;  // the stop id is part of the result
  uint64_t seed = 0;
  int top_logprobs = -1;  // likeliest tokens to report with each one; -1: no probabilities at all
};

struct GeneratedToken {
  int32_t id = 0;
  bool stops = false;                    // one of stop_ids
  float log_probability = 0;             // of the model's own distribution; when asked for
  std::vector<TokenLogProbability> top;  // the likeliest ones first
};
/// The next token after `seen`; `logits` are modified. Throws as sample_token().
GeneratedToken draw_token(std::span<float> logits, std::span<const int32_t> seen,
                          const GenerateOptions& options, Rng& rng);
using TokenCallback = std::function<bool(const GeneratedToken&)>;

/// One growing sequence of tokens and its KV cache: what was computed once stays.
class TokenSession {
 public:
  /// Room for `capacity` tokens, at most the model's positions. `model` must outlive the session.
  /// Throws std::invalid_argument for capacities out of range.
  TokenSession(const Model& model, int64_t capacity);
  /// Goes on with what another session of the model has computed: `cache` holds `ids`, and
  /// `last_hidden` [1, hidden_size] is the hidden state after the last of them.
  TokenSession(const Model& model, std::vector<int32_t> ids, KvCache cache, Matrix last_hidden);

  const std::vector<int32_t>& ids() const { return ids_; }
  /// How many of them the cache holds; the others are computed by the next generate().
  int64_t cached() const { return cache_.tokens(); }
  const KvCache& cache() const { return cache_; }
  /// The hidden state after the last of the ids, [1, hidden_size]; empty when it is not computed.
  const Matrix& last_hidden() const { return last_hidden_; }
  int64_t room() const { return cache_.capacity() - static_cast<int64_t>(ids_.size()); }
  /// Throws std::invalid_argument, changing nothing, when there is no room.
  void append(std::span<const int32_t> ids);
  void clear();
  /// Keeps the first `count` tokens at most: what the cache can give (KvCache::forkable()), so that
  /// what is kept is in the cache.
  void truncate(int64_t count);
  /// Computes what the cache lacks; false when interrupted before the end of it.
  bool prefill(ForwardContext& context);

  /// Ids generated after what the session holds (at least one token), which they become part of.
  /// `on_token` is called with each; returning false ends generation. Stops when the session is
  /// full, at a stop id, or when interrupted(). `seed` of the options is not used.
  std::vector<int32_t> generate(const GenerateOptions& options, Rng& rng, ForwardContext& context,
                                const TokenCallback& on_token = {});

 private:
  const Model& model_;
  KvCache cache_;
  std::vector<int32_t> ids_;
  Matrix last_hidden_;
};

/// Tokens of a prompt of `length` and up to `max_new_tokens` more, as far as the model has
/// positions. Throws std::invalid_argument for prompts that are empty or longer than these.
int64_t session_capacity(const LlmConfig& config, int64_t length, int64_t max_new_tokens);
/// A session of that capacity which holds `prompt`.
TokenSession open_session(const Model& model, std::span<const int32_t> prompt,
                          int64_t max_new_tokens);
/// Ids generated after `prompt` (not empty) by a session of its own, up to the model's positions.
std::vector<int32_t> generate_ids(const Model& model, std::span<const int32_t> prompt,
                                  const GenerateOptions& options, ForwardContext& context,
                                  const TokenCallback& on_token = {});

}  // namespace stamp
