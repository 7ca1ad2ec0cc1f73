#pragma once
// Text generation with a KV cache.
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "stamp/models/model.h"
#include "stamp/text/sampling.h"

namespace stamp {

struct GenerateOptions {
  SamplingOptions sampling;
  int64_t max_new_tokens = 128;
  std::vector<int64_t> stop_ids;  // the stop id is part of the result
  uint64_t seed = 0;
};

/// Ids generated after `prompt` (not empty). `on_token` is called with each; returning false ends
/// generation. Stops at the model's maximum length, at a stop id, or when interrupted().
std::vector<int32_t> generate_ids(const Model& model, std::span<const int32_t> prompt,
                                  const GenerateOptions& options, ForwardContext& context,
                                  const std::function<bool(int32_t)>& on_token = {});

}  // namespace stamp
