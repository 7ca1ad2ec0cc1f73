#include "stamp/core/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "stamp/core/communicator.h"

namespace stamp {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;

void on_signal(int signal) {
  interrupt_count = interrupt_count + 1;
  if (interrupt_count > 1) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

std::function<void(const ProgressState&)>& progress_listener() {
  static std::function<void(const ProgressState&)> listener;
  return listener;
}

std::string clock_text(double seconds) {
  const int64_t s = static_cast<int64_t>(std::min(seconds, 359999.0));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

void use_signal_stack() {
  alignas(64) static thread_local char stack[1 << 16];
  const stack_t alternate{.ss_sp = stack, .ss_flags = 0, .ss_size = sizeof stack};
  sigaltstack(&alternate, nullptr);
}

void catch_interrupts() {
  use_signal_stack();
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return interrupt_count > 0; }

void interrupt() { interrupt_count = interrupt_count + 1; }

void clear_interrupt() { interrupt_count = 0; }

void set_progress_listener(std::function<void(const ProgressState&)> listener) {
  progress_listener() = std::move(listener);
}

Progress::Progress(std::string label, int64_t total, std::string unit)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(std::max<int64_t>(total, 1)),
      start_(Clock::now()),
      drawn_(start_),
      terminal_(progress_listener() || isatty(STDERR_FILENO)) {}

Progress::~Progress() {
  if (!shown_ && !progress_listener()) return;
  draw(true);
  if (terminal_ && !progress_listener()) fmt::print(stderr, "\n");
}

void Progress::advance(int64_t count) {
  done_ += count;
  const auto now = Clock::now();
  if (now - start_ < std::chrono::seconds(2) && !progress_listener()) return;
  if (!is_first_process()) return;
  if (now - drawn_ < (terminal_ ? std::chrono::milliseconds(200) : std::chrono::seconds(10)))
    return;
  drawn_ = now;
  shown_ = true;
  draw(false);
}

void Progress::draw(bool last) {
  if (progress_listener()) return progress_listener()({this, label_, unit_, done_, total_, last});
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = static_cast<double>(done_) / std::max(seconds, 1e-9);
  const double left = rate > 0 ? static_cast<double>(total_ - done_) / rate : 0;
  const int filled = static_cast<int>(std::min<int64_t>(done_, total_) * 24 / total_);
  const std::string time = last ? "in " + clock_text(seconds) : "ETA " + clock_text(left);
  const std::string line = fmt::format("{} [{:#<{}}{:.<{}}] {}/{} {}, {:.0f}/s, {}", label_, "",
                                       filled, "", 24 - filled, done_, total_, unit_, rate, time);
  if (terminal_)
    fmt::print(stderr, "\r\033[K{}", line);
  else
    fmt::print(stderr, "{}\n", line);
  std::fflush(stderr);
}

}  // namespace stamp
