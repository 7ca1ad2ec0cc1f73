#include "stamp/pipelines/machine_limits.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "stamp/core/parallel.h"

namespace stamp {
namespace {

/// Eight sums, so that loads and not additions are the limit; the hardware prefetchers stop at
/// pages, hence the hint.
uint64_t sum_words(const uint64_t* words, int64_t count) {
  constexpr int64_t kLine = 8, kAhead = 512;
  uint64_t sums[kLine] = {};
  for (int64_t i = 0; i + kLine <= count; i += kLine) {
    __builtin_prefetch(words + i + kAhead, 0, 0);
    for (int64_t j = 0; j < kLine; ++j) sums[j] += words[i + j];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

DotPeak measure_dot_peak(double seconds) {
  std::vector<Peak> cores(static_cast<size_t>(threads()));
#pragma omp parallel for schedule(static, 1)
  for (Peak& core : cores) core = measure_dot_peak(active_isa(), seconds);
  DotPeak peak{.core = *std::min_element(
                   cores.begin(), cores.end(),
                   [](const Peak& a, const Peak& b) { return a.share() < b.share(); })};
  for (const Peak& core : cores) peak.gops += core.giga_ops;
  return peak;
}

ReadBandwidth::ReadBandwidth(int64_t bytes) : words_(bytes / 8), buffer_(bytes) {
  auto* words = static_cast<uint64_t*>(buffer_.data());
  parallel_ranges(words_, 1 << 16, [&](int64_t begin, int64_t end) {
    std::fill(words + begin, words + end, uint64_t{1});
  });
}

double ReadBandwidth::measure() const {
  const auto* words = static_cast<const uint64_t*>(buffer_.data());
  const int parts = threads();
  uint64_t sum = 0;
  const auto start = std::chrono::steady_clock::now();
#pragma omp parallel for schedule(static, 1) reduction(+ : sum)
  for (int part = 0; part < parts; ++part) {
    const int64_t begin = words_ * part / parts, end = words_ * (part + 1) / parts;
    sum += sum_words(words + begin, end - begin);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  volatile uint64_t sink = sum;
  static_cast<void>(sink);
  return static_cast<double>(words_ * 8) / seconds.count() * 1e-9;
}

}  // namespace stamp
