#include "stamp/pipelines/serving/engine.h"

#include <iterator>
#include <utility>

#include "stamp/core/error.h"
#include "stamp/core/memory_reserve.h"
#include "stamp/core/team_thread.h"

namespace stamp {

Engine::Engine(const Model& model, ForwardContext context, const SchedulerOptions& options,
               int64_t max_queue)
    : most_requests_(options.max_sequences + max_queue) {
  if (max_queue < 0) throw_argument("engine: expected max_queue >= 0, got {}", max_queue);
  const BatchScheduler checked(model, {}, options);  // throws here, not in the thread
  thread_ = team_thread([this, &model, options, own = std::move(context)]() mutable {
    run(model, std::move(own), options);
  });
}

Engine::~Engine() {
  {
    const std::lock_guard lock(guard_);
    stop_ = cancel_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

int64_t Engine::load() const {
  return static_cast<int64_t>(inbox_.size()) + stats_.waiting + stats_.running;
}

bool Engine::submit(std::vector<SequenceRequest> requests) {
  {
    const std::lock_guard lock(guard_);
    if (stop_ || load() + static_cast<int64_t>(requests.size()) > most_requests_) return false;
    std::move(requests.begin(), requests.end(), std::back_inserter(inbox_));
  }
  changed_.notify_all();
  return true;
}

SchedulerStats Engine::stats() const {
  const std::lock_guard lock(guard_);
  SchedulerStats stats = stats_;
  stats.waiting += static_cast<int64_t>(inbox_.size());
  return stats;
}

bool Engine::idle() const {
  const std::lock_guard lock(guard_);
  return load() == 0;
}

void Engine::cancel_all() {
  {
    const std::lock_guard lock(guard_);
    cancel_ = true;
  }
  changed_.notify_all();
}

void Engine::run(const Model& model, ForwardContext context, const SchedulerOptions& options) {
  BatchScheduler scheduler(model, std::move(context), options);
  bool busy = false;
  while (true) {
    bool cancel = false, stop = false;
    std::vector<SequenceRequest> arrived;
    {
      std::unique_lock lock(guard_);
      changed_.wait(lock, [&] { return busy || !inbox_.empty() || cancel_ || stop_; });
      arrived.swap(inbox_);
      stats_ = scheduler.stats();
      stats_.waiting += static_cast<int64_t>(arrived.size());
      cancel = std::exchange(cancel_, false);
      stop = stop_;
    }
    try {
      for (SequenceRequest& request : arrived) scheduler.add(std::move(request));
      if (cancel) scheduler.cancel_all();
      if (stop) return;
      busy = scheduler.step();
    } catch (const std::exception&) {  // no memory even for bookkeeping
      scheduler.cancel_all();
    }
    renew_memory_reserve();
    const std::lock_guard lock(guard_);
    stats_ = scheduler.stats();
  }
}

}  // namespace stamp
