#include "stamp/server/metrics.h"

#include <fmt/format.h>

#include "stamp/core/process.h"

namespace stamp {
namespace {

std::string single(const std::string& name, const char* type, const std::string& help,
                   int64_t value) {
  return fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n{0} {3}\n", name, type, help, value);
}

}  // namespace

void ServerMetrics::Histogram::add(double value) {
  ++count;
  sum += value;
  for (size_t i = 0; i < kBounds.size(); ++i) counts[i] += value <= kBounds[i];
}

std::string ServerMetrics::Histogram::text(const std::string& name, const std::string& help) const {
  std::string text = fmt::format("# HELP {0} {1}\n# TYPE {0} histogram\n", name, help);
  for (size_t i = 0; i < kBounds.size(); ++i)
    text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, kBounds[i], counts[i]);
  return text + fmt::format("{0}_bucket{{le=\"+Inf\"}} {1}\n{0}_sum {2}\n{0}_count {1}\n", name,
                            count, sum);
}

void ServerMetrics::count_answer(const std::string& route, int status) {
  const std::lock_guard lock(guard_);
  ++answers_[{route, status}];
}

void ServerMetrics::observe_first_token(double seconds) {
  const std::lock_guard lock(guard_);
  first_token_.add(seconds);
}

void ServerMetrics::observe_answer(double seconds) {
  const std::lock_guard lock(guard_);
  answer_.add(seconds);
}

std::string ServerMetrics::text(const SchedulerStats& stats) const {
  const std::lock_guard lock(guard_);
  std::string text =
      "# HELP stamp_answers_total Answers by route and status.\n# TYPE stamp_answers_total "
      "counter\n";
  for (const auto& [key, count] : answers_)
    text += fmt::format("stamp_answers_total{{route=\"{}\",status=\"{}\"}} {}\n", key.first,
                        key.second, count);
  text += single("stamp_sequences_waiting", "gauge", "Sequences in line.", stats.waiting);
  text += single("stamp_sequences_running", "gauge", "Sequences computed together.", stats.running);
  text += single("stamp_steps_total", "counter", "Batches computed.", stats.steps);
  text += single("stamp_prompt_tokens_total", "counter", "Tokens of prompts.", stats.prompt_tokens);
  text +=
      single("stamp_reused_tokens_total", "counter",
             "Tokens of prompts whose keys and values were there already.", stats.reused_tokens);
  text += single("stamp_generated_tokens_total", "counter", "Tokens generated.",
                 stats.generated_tokens);
  text += single("stamp_cache_bytes", "gauge", "Keys and values of running sequences.",
                 stats.cache_bytes);
  text += single("stamp_prefix_bytes", "gauge", "Keys and values kept for prompts to come.",
                 stats.prefix_bytes);
  text += single("stamp_resident_bytes", "gauge", "Resident set, pages of mapped files included.",
                 rss_bytes());
  text += single("stamp_peak_resident_bytes", "gauge", "Largest resident set so far.",
                 peak_rss_bytes());
  text += first_token_.text("stamp_first_token_seconds", "From a request to its first token.");
  return text + answer_.text("stamp_answer_seconds", "From a request to the end of its answer.");
}

}  // namespace stamp
