#pragma once
// What happened so far, for Prometheus.
#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "stamp/pipelines/serving/batch_scheduler.h"

namespace stamp {

/// Any thread may call.
class ServerMetrics {
 public:
  void count_answer(const std::string& route, int status);
  void observe_first_token(double seconds);
  void observe_answer(double seconds);
  /// Text exposition format 0.0.4.
  std::string text(const SchedulerStats& stats) const;

 private:
  static constexpr std::array kBounds = {0.05, 0.1,  0.25, 0.5,  1.0,  2.5,
                                         5.0,  10.0, 30.0, 60.0, 300.0};
  struct Histogram {
    std::array<int64_t, kBounds.size()> counts{};
    int64_t count = 0;
    double sum = 0;

    void add(double value);
    std::string text(const std::string& name, const std::string& help) const;
  };

  mutable std::mutex guard_;
  std::map<std::pair<std::string, int>, int64_t> answers_;
  Histogram first_token_, answer_;
};

}  // namespace stamp
