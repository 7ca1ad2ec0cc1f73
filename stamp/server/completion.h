#pragma once
// From a completion request to its answer, whole or in server-sent events.
#include "stamp/http/http_server.h"
#include "stamp/pipelines/serving/engine.h"
#include "stamp/server/completion_request.h"
#include "stamp/server/metrics.h"

namespace stamp {

/// What completions need, which outlives them.
struct CompletionServices {
  const ServedModel& model;
  Engine& engine;
  ServerMetrics& metrics;
  double timeout_seconds = 600;
};

/// Hands the request to the engine, which then answers. False when there is no room in line:
/// nothing is answered then.
bool start_completion(CompletionRequest request, const CompletionServices& services,
                      const std::shared_ptr<HttpReply>& reply);

}  // namespace stamp
