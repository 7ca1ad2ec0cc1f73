#pragma once
// Threads that compute beside each other, as those of a server do.
#include <atomic>
#include <future>
#include <thread>
#include <utility>

#include "stamp/core/parallel.h"

namespace stamp {

/// A thread that calls body(), with an OpenMP team of threads() of its own that is there when this
/// returns. OpenMP ends the program where the system refuses it a thread: better before there is
/// work than in its midst, and in one thread at a time.
template <class Body>
std::thread team_thread(Body body) {
  std::promise<void> started;
  std::future<void> ready = started.get_future();
  std::thread thread(
      [started = std::move(started), count = threads(), body = std::move(body)]() mutable {
        set_threads(count);
        std::atomic<int> team{0};
#pragma omp parallel
        ++team;
        started.set_value();
        body();
      });
  ready.wait();
  return thread;
}

}  // namespace stamp
