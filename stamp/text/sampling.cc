#include "stamp/text/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "stamp/core/error.h"

namespace stamp {
namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();

// Written so that NaN fails, too.
void check_options(const SamplingOptions& options) {
  if (!(options.temperature >= 0.0) || std::isinf(options.temperature))
    throw_argument("sampling: expected temperature >= 0, got {}", options.temperature);
  if (options.top_k < 0) throw_argument("sampling: expected top_k >= 0, got {}", options.top_k);
  if (!(options.top_p > 0.0 && options.top_p <= 1.0))
    throw_argument("sampling: expected top_p in (0, 1], got {}", options.top_p);
  if (!(options.repetition_penalty > 0.0) || std::isinf(options.repetition_penalty))
    throw_argument("sampling: expected repetition_penalty > 0, got {}", options.repetition_penalty);
}

/// -inf marks an excluded token; NaN, +inf or nothing left to choose come from a broken model.
void check_logits(std::span<const float> logits) {
  bool any = false;
  for (const float logit : logits) {
    if (std::isnan(logit) || logit == std::numeric_limits<float>::infinity())
      throw_runtime("sampling: expected finite logits, got {}", logit);
    any |= logit != kRemoved;
  }
  if (!any) throw_runtime("sampling: every logit is -inf");
}

void penalize_repetition(std::span<float> logits, std::span<const int32_t> seen, double penalty) {
  std::vector<int32_t> distinct(seen.begin(), seen.end());
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  const auto factor = static_cast<float>(penalty);
  for (const int32_t id : distinct) {
    if (id < 0 || static_cast<size_t>(id) >= logits.size())
      throw_argument("sampling: seen id {} is outside [0, {})", id, logits.size());
    float& logit = logits[static_cast<size_t>(id)];
    logit = logit < 0 ? logit * factor : logit / factor;
  }
}

/// Removes logits below the k-th largest; ties with it stay.
void keep_top_k(std::span<float> logits, int64_t k) {
  if (k == 0 || k >= static_cast<int64_t>(logits.size())) return;
  std::vector<float> sorted(logits.begin(), logits.end());
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  const float lowest = sorted[static_cast<size_t>(k - 1)];
  for (float& logit : logits)
    if (logit < lowest) logit = kRemoved;
}

struct Choice {
  int32_t id;
  double weight;  // proportional to the probability
};

std::vector<Choice> choices_of(std::span<const float> logits, double temperature) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<Choice> choices;
  for (size_t i = 0; i < logits.size(); ++i)
    if (logits[i] != kRemoved)
      choices.push_back({static_cast<int32_t>(i), std::exp((logits[i] - largest) / temperature)});
  return choices;
}

double total_weight(const std::vector<Choice>& choices) {
  double total = 0.0;
  for (const Choice& choice : choices) total += choice.weight;
  return total;
}

/// Keeps the most probable tokens up to and including the one that reaches probability p.
void keep_top_p(std::vector<Choice>& choices, double p) {
  if (p == 1.0) return;
  std::stable_sort(choices.begin(), choices.end(),
                   [](const Choice& a, const Choice& b) { return a.weight > b.weight; });
  const double wanted = p * total_weight(choices);
  double sum = 0.0;
  const auto last = std::find_if(choices.begin(), choices.end(),
                                 [&](const Choice& c) { return (sum += c.weight) >= wanted; });
  if (last != choices.end()) choices.erase(last + 1, choices.end());
}

int32_t draw(const std::vector<Choice>& choices, Rng& rng) {
  double remaining = rng.uniform() * total_weight(choices);
  for (const Choice& choice : choices)
    if ((remaining -= choice.weight) < 0.0) return choice.id;
  return choices.back().id;  // rounding used up the remainder
}

}  // namespace

int32_t sample_token(std::span<float> logits, std::span<const int32_t> seen,
                     const SamplingOptions& options, Rng& rng) {
  check_options(options);
  if (logits.empty()) throw_argument("sampling: there are no logits");
  if (options.repetition_penalty != 1.0)
    penalize_repetition(logits, seen, options.repetition_penalty);
  check_logits(logits);
  if (options.temperature == 0.0)
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  keep_top_k(logits, options.top_k);
  std::vector<Choice> choices = choices_of(logits, options.temperature);
  keep_top_p(choices, options.top_p);
  return draw(choices, rng);
}

}  // namespace stamp
