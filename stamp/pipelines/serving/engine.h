#pragma once
// A thread that owns a BatchScheduler: other threads hand in requests and hear of tokens.
#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "stamp/pipelines/serving/batch_scheduler.h"

namespace stamp {

class Engine {
 public:
  /// Refuses requests beyond options.max_sequences + `max_queue`. `model` must outlive the engine.
  /// Throws as BatchScheduler and for max_queue < 0.
  Engine(const Model& model, ForwardContext context, const SchedulerOptions& options,
         int64_t max_queue);
  /// Cancels what is left and waits for the thread.
  ~Engine();

  /// All requests, or none when they do not fit in line (then false). They must have passed
  /// BatchScheduler::check(); their calls happen in the engine's thread, must be quick and must not
  /// throw.
  bool submit(std::vector<SequenceRequest> requests);
  /// As of the last step, with everything that came since in `waiting`.
  SchedulerStats stats() const;
  bool idle() const;
  /// Ends everything that is waiting or running with kCancelled.
  void cancel_all();

 private:
  void run(const Model& model, ForwardContext context, const SchedulerOptions& options);
  int64_t load() const;  // requests inside; `guard_` is held

  const int64_t most_requests_;
  mutable std::mutex guard_;
  std::condition_variable changed_;
  std::vector<SequenceRequest> inbox_;
  SchedulerStats stats_;
  bool cancel_ = false, stop_ = false;
  std::thread thread_;
};

}  // namespace stamp
