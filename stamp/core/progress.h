#pragma once
// Progress bar with throughput and ETA on standard error, and clean interruption by Ctrl-C.
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace stamp {

/// Draws at most five times a second and only when standard error is a terminal (otherwise one line
/// at most every ten seconds, and nothing at all for work that ends within two seconds).
class Progress {
 public:
  /// `unit` is what `total` counts: "tokens", "layers", ...
  Progress(std::string label, int64_t total, std::string unit);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void advance(int64_t count);

 private:
  void draw(bool last);
  using Clock = std::chrono::steady_clock;
  std::string label_, unit_;
  int64_t total_, done_ = 0;
  Clock::time_point start_, drawn_;
  bool terminal_, shown_ = false;
};

/// What a progress bar shows.
struct ProgressState {
  const void* work = nullptr;  // tells bars apart
  std::string label, unit;
  int64_t done = 0, total = 0;
  bool last = false;  // this work shows nothing further
};
/// Sends progress to `listener` instead of drawing it: at most five times a second, and when work
/// ends, however short, from the threads that do the work. An empty one draws again. Not to be
/// called while work is in progress.
void set_progress_listener(std::function<void(const ProgressState&)> listener);

/// Handlers with SA_ONSTACK interrupt the calling thread on a stack of their own from now on.
/// Without it they can corrupt the heap: kernels that oneDNN generates use the stack pointer as an
/// ordinary register. Programs with handlers of their own call it in their main thread.
void use_signal_stack();

/// Makes the first SIGINT or SIGTERM set a flag instead of ending the process; a second one ends
/// it.
void catch_interrupts();
/// True after the first such signal: long loops end at the next safe point and mark results
/// partial.
bool interrupted();
/// Makes interrupted() true, for programs that handle signals themselves; safe in signal handlers.
void interrupt();
/// Makes interrupted() false again, for programs that go on after an interruption.
void clear_interrupt();

}  // namespace stamp
