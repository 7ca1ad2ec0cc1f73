#include "stamp/pipelines/generate.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/core/progress.h"

namespace stamp {
namespace {

constexpr int64_t kPrefillTokens = 2048;  // of one chunk: bounds the memory of activations

/// Runs the prompt in chunks of nearly equal length; returns the hidden state of its last token.
Matrix prefill(const Model& model, std::span<const int32_t> prompt, KvCache& cache,
               ForwardContext& context) {
  const int64_t tokens = static_cast<int64_t>(prompt.size());
  const int64_t chunks = (tokens + kPrefillTokens - 1) / kPrefillTokens;
  Matrix last;
  for (int64_t i = 0; i < chunks; ++i) {
    const int64_t begin = tokens * i / chunks, end = tokens * (i + 1) / chunks;
    const Matrix hidden =
        model.forward(prompt.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
                      cache, context);
    last = Matrix::copy_of(hidden.view().rows_from(hidden.rows() - 1, 1));
  }
  return last;
}

bool is_stop(const GenerateOptions& options, int32_t id) {
  return std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end();
}

}  // namespace

std::vector<int32_t> generate_ids(const Model& model, std::span<const int32_t> prompt,
                                  const GenerateOptions& options, ForwardContext& context,
                                  const std::function<bool(int32_t)>& on_token) {
  const int64_t length = static_cast<int64_t>(prompt.size());
  const int64_t positions = model.config().max_positions;
  if (length == 0) throw_argument("generate: the prompt is empty");
  if (length > positions)
    throw_argument("generate: a prompt of {} tokens exceeds the model's {} positions", length,
                   positions);
  if (options.max_new_tokens < 0)
    throw_argument("generate: expected max_new_tokens >= 0, got {}", options.max_new_tokens);
  const int64_t room = std::min(options.max_new_tokens, positions - length);
  std::vector<int32_t> seen(prompt.begin(), prompt.end());
  if (room == 0) return {};

  KvCache cache = model.make_cache(length + room);
  Rng rng(options.seed);
  Matrix hidden = prefill(model, prompt, cache, context);
  Matrix logits(1, model.config().vocab_size);
  while (static_cast<int64_t>(seen.size()) < length + room && !interrupted()) {
    model.logits(hidden.view(), logits.view(), context);
    const int32_t id = sample_token(logits.view().row_span(0), seen, options.sampling, rng);
    seen.push_back(id);
    const bool wanted = !on_token || on_token(id);
    if (!wanted || is_stop(options, id) || static_cast<int64_t>(seen.size()) == length + room)
      break;
    hidden = model.forward({&id, 1}, cache, context);
  }
  return {seen.begin() + length, seen.end()};
}

}  // namespace stamp
