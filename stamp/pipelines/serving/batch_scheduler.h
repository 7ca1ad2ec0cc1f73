#pragma once
// Many sequences that one model computes together: every step takes the next token of all that are
// generating and the next piece of some prompts.
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "stamp/pipelines/generate.h"
#include "stamp/pipelines/serving/prefix_store.h"

namespace stamp {

/// What a new prompt takes over from earlier ones. kExact: whole prompt chunks, which gives the
/// same bits as computing them. kPages: every closed page of 64 tokens, generated ones included;
/// its keys and values carry the rounding of the text that it was computed in (L mixes the tokens
/// of a chunk).
enum class PrefixReuse { kOff, kExact, kPages };

struct SchedulerOptions {
  int64_t max_sequences = 16;  // that are computed together
  /// Prompts are computed in chunks that end at multiples of it, a multiple of 64: it bounds how
  /// long others wait, and L acts within a chunk.
  int64_t prefill_chunk = 256;
  PrefixReuse prefix_reuse = PrefixReuse::kExact;
  int64_t prefix_bytes = int64_t{256} << 20;  // of pages that no sequence may be using
};

/// kStop: a stop id, or the caller wants no more; kLength: max_new_tokens or the model's positions.
enum class FinishReason { kStop, kLength, kCancelled, kTimeout, kFailed };

struct SequenceEnd {
  FinishReason reason = FinishReason::kStop;
  int64_t prompt_tokens = 0, generated_tokens = 0;
  int64_t reused_tokens = 0;  // of the prompt, found in pages of others
  std::string error;          // of kFailed
};

/// Calls happen in the thread that calls BatchScheduler::step().
struct SequenceRequest {
  using Clock = std::chrono::steady_clock;

  std::vector<int32_t> prompt;
  GenerateOptions generate;
  Clock::time_point deadline = Clock::time_point::max();
  std::shared_ptr<const std::atomic<bool>> cancelled;  // null: never; set by any thread
  TokenCallback on_token;                              // false: no more; may be empty
  std::function<void(const SequenceEnd&)> on_end;      // the last call; may be empty
};

struct SchedulerStats {
  int64_t waiting = 0, running = 0;
  int64_t steps = 0, prompt_tokens = 0, reused_tokens = 0, generated_tokens = 0;  // so far
  int64_t cache_bytes = 0;                     // K and V of the running sequences, shared pages too
  int64_t prefix_bytes = 0, prefix_pages = 0;  // kept for prompts to come
};

/// Not for several threads. Sequences do not influence each other: each gets the tokens that
/// generate_ids() gives for prompts of one chunk, and for longer ones those of the same chunks.
class BatchScheduler {
 public:
  /// `model` must outlive the scheduler. Throws std::invalid_argument for options out of range.
  BatchScheduler(const Model& model, ForwardContext context, const SchedulerOptions& options);
  ~BatchScheduler();

  /// Throws std::invalid_argument for an empty prompt, ids out of the vocabulary, and prompts that
  /// leave no room for a token.
  static void check(const SequenceRequest& request, const LlmConfig& config);
  /// Puts a request in line; it must have passed check().
  void add(SequenceRequest request);
  /// Computes one batch. Returns false when there is nothing to do.
  bool step();
  /// Ends everything with kCancelled.
  void cancel_all();
  SchedulerStats stats() const;

 private:
  struct Sequence;
  struct Work;  // of one sequence in one step
  void drop_abandoned();
  void admit();
  void admit(SequenceRequest& request);
  void take_pages(Sequence& sequence);
  void keep_pages(Sequence& sequence, const Work& work);
  std::vector<Work> choose();
  void compute(const std::vector<Work>& batch);
  void sample(const std::vector<Work>& batch, ConstFloatView hidden);
  void append(Sequence& sequence, const GeneratedToken& token);
  void end(Sequence& sequence, FinishReason reason, const std::string& error = "");

  const Model& model_;
  ForwardContext context_;
  SchedulerOptions options_;
  std::shared_ptr<KvArena> arena_ = std::make_shared<KvArena>();
  PrefixStore prefixes_;
  std::vector<SequenceRequest> waiting_;  // the first came first
  std::vector<std::unique_ptr<Sequence>> running_;
  SchedulerStats totals_;
  int64_t turns_ = 0;
};

}  // namespace stamp
