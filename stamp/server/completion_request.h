#pragma once
// Bodies of /v1/completions and /v1/chat/completions.
#include <ctime>

#include "stamp/server/api_error.h"
#include "stamp/server/served_model.h"

namespace stamp {

constexpr int64_t kMostContentParts = 64;  // of a message

struct CompletionRequest {
  bool chat = false, stream = false, include_usage = false;
  std::vector<std::vector<int32_t>> prompts;
  int64_t choices = 1;       // per prompt
  GenerateOptions generate;  // seed: of the first choice; the next ones count on
  std::vector<std::string> stop;
  int top_logprobs = -1;  // -1: no probabilities
};

/// Checks everything that the model's configuration allows to check, prompts included. What the
/// server does not do (penalties, tools, ...) must be absent, null or neutral. Throws ApiError.
CompletionRequest read_completion(const Json& body, bool chat, const ServedModel& model,
                                  const std::tm& now);

}  // namespace stamp
