#include "stamp/pipelines/serving/batch_scheduler.h"

#include <algorithm>
#include <new>
#include <optional>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"

namespace stamp {
namespace {

/// Why a request that nobody waits for ends.
std::optional<FinishReason> abandoned(const SequenceRequest& request) {
  if (request.cancelled && *request.cancelled) return FinishReason::kCancelled;
  if (SequenceRequest::Clock::now() >= request.deadline) return FinishReason::kTimeout;
  return std::nullopt;
}

std::string message_of(const std::exception& error) {
  const bool no_memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr;
  return no_memory ? "not enough memory" : error.what();
}

/// A caller that cannot even hear that its sequence has ended must not end those of others.
void tell(const SequenceRequest& request, const SequenceEnd& end) {
  if (!request.on_end) return;
  try {
    request.on_end(end);
  } catch (const std::exception&) {
  }
}

}  // namespace

struct BatchScheduler::Sequence {
  SequenceRequest request;
  std::vector<int32_t> ids;  // the prompt and what was generated
  KvCache cache;
  Rng rng;
  int64_t limit = 0;   // of ids
  int64_t exact = 0;   // tokens in the cache that any prompt with these ids would compute alike
  int64_t reused = 0;  // tokens taken from pages of others
  int64_t turn = 0;    // when a piece of its prompt was computed last
  bool ended = false;

  int64_t length() const { return static_cast<int64_t>(ids.size()); }
  int64_t prompt_length() const { return static_cast<int64_t>(request.prompt.size()); }
  int64_t pending() const { return length() - cache.tokens(); }
};

/// The next `tokens` tokens of a sequence.
struct BatchScheduler::Work {
  Sequence* sequence = nullptr;
  int64_t first = 0, tokens = 0;

  bool completes() const { return first + tokens == sequence->length(); }
};

BatchScheduler::BatchScheduler(const Model& model, ForwardContext context,
                               const SchedulerOptions& options)
    : model_(model),
      context_(std::move(context)),
      options_(options),
      prefixes_(options.prefix_reuse == PrefixReuse::kOff ? 0 : options.prefix_bytes) {
  if (options.max_sequences < 1)
    throw_argument("scheduler: expected at least one sequence, got {}", options.max_sequences);
  if (options.prefill_chunk < 1 || options.prefill_chunk % kKvBlockTokens != 0)
    throw_argument("scheduler: expected a prefill chunk that is a multiple of {}, got {}",
                   kKvBlockTokens, options.prefill_chunk);
  if (options.prefix_bytes < 0)
    throw_argument("scheduler: expected prefix_bytes >= 0, got {}", options.prefix_bytes);
}

BatchScheduler::~BatchScheduler() = default;

void BatchScheduler::check(const SequenceRequest& request, const LlmConfig& config) {
  const auto length = static_cast<int64_t>(request.prompt.size());
  if (length == 0) throw_argument("the prompt is empty");
  if (length >= config.max_positions)
    throw_argument("a prompt of {} tokens leaves no room in the model's {} positions", length,
                   config.max_positions);
  for (const int32_t id : request.prompt)
    if (id < 0 || id >= config.vocab_size)
      throw_argument("token id {} is outside [0, {})", id, config.vocab_size);
}

void BatchScheduler::add(SequenceRequest request) { waiting_.push_back(std::move(request)); }

bool BatchScheduler::step() {
  drop_abandoned();
  admit();
  if (running_.empty()) return false;
  try {
    const std::vector<Work> batch = choose();
    try {
      compute(batch);
    } catch (const std::exception& error) {  // their caches are of no use any more
      for (const Work& work : batch) end(*work.sequence, FinishReason::kFailed, message_of(error));
    }
  } catch (const std::exception& error) {
    for (const auto& sequence : running_) end(*sequence, FinishReason::kFailed, message_of(error));
  }
  ++totals_.steps;
  std::erase_if(running_, [](const auto& sequence) { return sequence->ended; });
  return true;
}

void BatchScheduler::cancel_all() {
  for (const SequenceRequest& request : std::exchange(waiting_, {}))
    tell(request, {.reason = FinishReason::kCancelled,
                   .prompt_tokens = static_cast<int64_t>(request.prompt.size())});
  for (const auto& sequence : running_) end(*sequence, FinishReason::kCancelled);
  running_.clear();
}

void BatchScheduler::drop_abandoned() {
  std::erase_if(waiting_, [](SequenceRequest& request) {
    const auto reason = abandoned(request);
    if (reason)
      tell(request,
           {.reason = *reason, .prompt_tokens = static_cast<int64_t>(request.prompt.size())});
    return reason.has_value();
  });
  for (const auto& sequence : running_)
    if (const auto reason = abandoned(sequence->request)) end(*sequence, *reason);
  std::erase_if(running_, [](const auto& sequence) { return sequence->ended; });
}

void BatchScheduler::admit() {
  const auto room = options_.max_sequences - static_cast<int64_t>(running_.size());
  const auto count = std::min(static_cast<size_t>(std::max<int64_t>(room, 0)), waiting_.size());
  for (size_t i = 0; i < count; ++i) {
    SequenceRequest& request = waiting_[i];
    try {
      admit(request);
    } catch (const std::exception& error) {  // no memory for its keys and values
      tell(request, {.reason = FinishReason::kFailed,
                     .prompt_tokens = static_cast<int64_t>(request.prompt.size()),
                     .error = message_of(error)});
    }
  }
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
  std::erase_if(running_, [](const auto& sequence) { return sequence->ended; });
}

/// Takes the request over, unless it throws.
void BatchScheduler::admit(SequenceRequest& request) {
  const auto length = static_cast<int64_t>(request.prompt.size());
  const int64_t limit = length + std::clamp<int64_t>(request.generate.max_new_tokens, 0,
                                                     model_.config().max_positions - length);
  running_.reserve(running_.size() + 1);
  auto sequence = std::make_unique<Sequence>(Sequence{.request = {},
                                                      .ids = request.prompt,
                                                      .cache = model_.make_cache(limit, arena_),
                                                      .rng = Rng(request.generate.seed),
                                                      .limit = limit});
  sequence->request = std::move(request);
  totals_.prompt_tokens += length;
  running_.push_back(std::move(sequence));
  if (limit == length) end(*running_.back(), FinishReason::kLength);
}

/// Goes on with pages of other sequences where that is allowed; the last token is always computed.
void BatchScheduler::take_pages(Sequence& sequence) {
  if (options_.prefix_reuse == PrefixReuse::kOff) return;
  const bool exact = options_.prefix_reuse == PrefixReuse::kExact;
  const int64_t step = exact ? options_.prefill_chunk : kKvBlockTokens;
  const int64_t cached = sequence.cache.tokens();
  if (cached % step != 0 || cached >= sequence.prompt_length() ||
      (exact && cached != sequence.exact))
    return;
  const int64_t usable = (sequence.prompt_length() - 1) / step * step;
  if (usable <= cached) return;
  auto pages = prefixes_.find(sequence.ids, usable / kKvBlockTokens);
  pages.resize(pages.size() / static_cast<size_t>(step / kKvBlockTokens) *
               static_cast<size_t>(step / kKvBlockTokens));
  for (const auto& page : pages) {
    if (page->index * kKvBlockTokens < cached) continue;
    sequence.cache.append(*page);
    sequence.reused += kKvBlockTokens;
    totals_.reused_tokens += kKvBlockTokens;
  }
  if (exact) sequence.exact = sequence.cache.tokens();
}

/// One step of every sequence that generates; pieces of prompts, those that waited longest first,
/// as many as make up one chunk.
std::vector<BatchScheduler::Work> BatchScheduler::choose() {
  std::vector<Work> batch;
  std::vector<Sequence*> prompts;
  for (const auto& sequence : running_) {
    take_pages(*sequence);
    if (sequence->pending() > 1)
      prompts.push_back(sequence.get());
    else
      batch.push_back({sequence.get(), sequence->cache.tokens(), 1});
  }
  std::stable_sort(prompts.begin(), prompts.end(),
                   [](const Sequence* a, const Sequence* b) { return a->turn < b->turn; });
  int64_t room = options_.prefill_chunk;
  for (Sequence* sequence : prompts) {
    const int64_t first = sequence->cache.tokens(), chunk = options_.prefill_chunk;
    const int64_t tokens = std::min(sequence->length(), (first / chunk + 1) * chunk) - first;
    if (tokens > room) continue;
    room -= tokens;
    sequence->turn = ++turns_;
    batch.push_back({sequence, first, tokens});
  }
  return batch;
}

void BatchScheduler::compute(const std::vector<Work>& batch) {
  std::vector<SequenceChunk> chunks;
  for (const Work& work : batch)
    chunks.push_back(
        {std::span<const int32_t>(work.sequence->ids)
             .subspan(static_cast<size_t>(work.first), static_cast<size_t>(work.tokens)),
         &work.sequence->cache});
  const Matrix hidden = model_.forward_all(chunks, context_);
  std::vector<Work> complete;
  Matrix last(static_cast<int64_t>(batch.size()), hidden.cols());
  int64_t row = 0;
  for (const Work& work : batch) {
    row += work.tokens;
    keep_pages(*work.sequence, work);
    if (!work.completes()) continue;
    std::copy_n(hidden.row(row - 1), hidden.cols(),
                last.row(static_cast<int64_t>(complete.size())));
    complete.push_back(work);
  }
  if (!complete.empty())
    sample(complete, last.view().rows_from(0, static_cast<int64_t>(complete.size())));
}

void BatchScheduler::keep_pages(Sequence& sequence, const Work& work) {
  const int64_t chunk = options_.prefill_chunk, end = work.first + work.tokens;
  const bool whole = sequence.exact == work.first && work.tokens == chunk && end % chunk == 0 &&
                     end <= sequence.prompt_length();
  if (whole) sequence.exact = end;
  if (options_.prefix_reuse == PrefixReuse::kExact && whole)
    prefixes_.insert(sequence.ids, sequence.cache, end / kKvBlockTokens);
  if (options_.prefix_reuse == PrefixReuse::kPages &&
      end / kKvBlockTokens > work.first / kKvBlockTokens)
    prefixes_.insert(sequence.ids, sequence.cache, sequence.cache.pages());
}

void BatchScheduler::sample(const std::vector<Work>& batch, ConstFloatView hidden) {
  Matrix logits(hidden.rows, model_.config().vocab_size);
  model_.logits_of_each(hidden, logits.view(), context_);
  std::vector<GeneratedToken> tokens(batch.size());
  std::vector<std::string> errors(batch.size());
  parallel_for(hidden.rows, [&](int64_t i) {
    const auto at = static_cast<size_t>(i);
    Sequence& sequence = *batch[at].sequence;
    const SequenceRequest& request = sequence.request;
    const std::span<float> row = logits.view().row_span(i);
    try {
      tokens[at] = draw_token(row, sequence.ids, request.generate, sequence.rng);
    } catch (const std::exception& error) {
      errors[at] = error.what();
    }
  });
  for (size_t i = 0; i < batch.size(); ++i) {
    if (errors[i].empty())
      append(*batch[i].sequence, tokens[i]);
    else
      end(*batch[i].sequence, FinishReason::kFailed, errors[i]);
  }
}

void BatchScheduler::append(Sequence& sequence, const GeneratedToken& token) {
  sequence.ids.push_back(token.id);
  ++totals_.generated_tokens;
  const bool wanted = !sequence.request.on_token || sequence.request.on_token(token);
  if (!wanted || token.stops)
    end(sequence, FinishReason::kStop);
  else if (sequence.length() == sequence.limit)
    end(sequence, FinishReason::kLength);
}

void BatchScheduler::end(Sequence& sequence, FinishReason reason, const std::string& error) {
  if (std::exchange(sequence.ended, true)) return;
  tell(sequence.request, {.reason = reason,
                          .prompt_tokens = sequence.prompt_length(),
                          .generated_tokens = sequence.length() - sequence.prompt_length(),
                          .reused_tokens = sequence.reused,
                          .error = error});
}

SchedulerStats BatchScheduler::stats() const {
  SchedulerStats stats = totals_;
  stats.waiting = static_cast<int64_t>(waiting_.size());
  stats.running = static_cast<int64_t>(running_.size());
  for (const auto& sequence : running_) stats.cache_bytes += sequence->cache.bytes();
  stats.prefix_bytes = prefixes_.bytes();
  stats.prefix_pages = prefixes_.pages();
  return stats;
}

}  // namespace stamp
