#pragma once
// Text generation with a KV cache.
#include <functional>
#include <span>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/models/model.h"
#include "stamp/text/sampling.h"

namespace stamp {

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_new_tokens = 128;
  std::vector<int64_t> stop_ids;  // the stop id is part of the result
  uint64_t seed = 0;
};

/// One growing sequence of tokens and its KV cache: what was computed once stays.
class TokenSession {
 public:
  /// Room for `capacity` tokens, at most the model's positions. `model` must outlive the session.
  /// Throws std::invalid_argument for capacities out of range.
  TokenSession(const Model& model, int64_t capacity);

  const std::vector<int32_t>& ids() const { return ids_; }
  /// How many of them the cache holds; the others are computed by the next generate().
  int64_t cached() const { return cache_.tokens(); }
  int64_t room() const { return cache_.capacity() - static_cast<int64_t>(ids_.size()); }
  /// Throws std::invalid_argument, changing nothing, when there is no room.
  void append(std::span<const int32_t> ids);
  void clear();

  /// Ids generated after what the session holds (at least one token not in the cache), which they
  /// become part of. `on_token` is called with each; returning false ends generation. Stops when
  /// the session is full, at a stop id, or when interrupted(). `seed` of the options is not used.
  std::vector<int32_t> generate(const GenerateOptions& options, Rng& rng, ForwardContext& context,
                                const std::function<bool(int32_t)>& on_token = {});

 private:
  Matrix prefill(ForwardContext& context);

  const Model& model_;
  KvCache cache_;
  std::vector<int32_t> ids_;
};

/// Ids generated after `prompt` (not empty) by a session of its own, up to the model's positions.
std::vector<int32_t> generate_ids(const Model& model, std::span<const int32_t> prompt,
                                  const GenerateOptions& options, ForwardContext& context,
                                  const std::function<bool(int32_t)>& on_token = {});

}  // namespace stamp
