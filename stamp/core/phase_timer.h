#pragma once
// Where the time of a forward pass goes.
#include <array>
#include <chrono>
#include <cstddef>
#include <string_view>

namespace stamp {

/// kExchange: with other processes, waiting for them included.
enum class Phase { kOther, kTransform, kQuantize, kGemm, kAttention, kNorm, kExchange };
inline constexpr std::array<std::string_view, 7> kPhaseNames = {
    "other", "transform", "quantize", "gemm", "attention", "norm", "exchange"};

/// Seconds of each phase, measured on the thread that drives the pass. Exclusive: a scope inside
/// another takes its time away from it, so that the sum is the time spent in scopes.
class PhaseTimes {
 public:
  double seconds(Phase phase) const { return seconds_[static_cast<size_t>(phase)]; }
  double total() const {
    double sum = 0;
    for (const double s : seconds_) sum += s;
    return sum;
  }
  /// Corrects a fused loop, which one scope covers: `seconds` of `from` were spent on `to`.
  void move(Phase from, Phase to, double seconds) {
    seconds_[static_cast<size_t>(from)] -= seconds;
    seconds_[static_cast<size_t>(to)] += seconds;
  }
  void clear() { seconds_ = {}; }  // between scopes

 private:
  friend class PhaseScope;
  using Clock = std::chrono::steady_clock;

  /// Books the time since the last change on the current phase.
  void book() {
    const Clock::time_point now = Clock::now();
    if (depth_ > 0)
      seconds_[static_cast<size_t>(current_)] += std::chrono::duration<double>(now - mark_).count();
    mark_ = now;
  }

  std::array<double, kPhaseNames.size()> seconds_{};
  Clock::time_point mark_;
  Phase current_ = Phase::kOther;
  int depth_ = 0;
};

/// Books its lifetime on `phase`; nothing at all when `times` is null. Two clock reads, some 50 ns:
/// around whole operations, never inside loops over rows. Scopes of one PhaseTimes nest on one
/// thread.
class PhaseScope {
 public:
  PhaseScope(PhaseTimes* times, Phase phase) : times_(times) {
    if (!times_) return;
    times_->book();
    outer_ = times_->current_;
    times_->current_ = phase;
    ++times_->depth_;
  }
  ~PhaseScope() {
    if (!times_) return;
    times_->book();
    times_->current_ = outer_;
    --times_->depth_;
  }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  PhaseTimes* times_;
  Phase outer_ = Phase::kOther;
};

}  // namespace stamp
