#include "stamp/diffusion/sampler.h"

#include <cmath>

#include "stamp/core/error.h"

namespace stamp {
namespace {

/// A noise level in the form x = alpha clean + deviation noise.
struct Level {
  double alpha, deviation;
  double lambda() const { return std::log(alpha) - std::log(deviation); }
};

Level level_of(double sigma, bool flow) {
  if (flow) return {1.0 - sigma, sigma};
  const double alpha = 1.0 / std::sqrt(sigma * sigma + 1.0);
  return {alpha, sigma * alpha};
}

constexpr size_t kFewSteps = 15;  // below, lower_order_final holds

}  // namespace

Sampler::Sampler(const SchedulerConfig& config, int64_t steps, std::optional<double> mu)
    : config_(config), schedule_(make_schedule(config, steps, mu)) {}

void Sampler::check(std::span<const float> output, std::span<const float> sample) const {
  if (output.size() != sample.size())
    throw_argument("sampler: an output of {} values for a sample of {}", output.size(),
                   sample.size());
  if (done_ == steps()) throw_argument("sampler: all {} steps are done", steps());
}

void Sampler::step(std::span<const float> output, std::span<float> sample) {
  check(output, sample);
  if (config_.method == SchedulerConfig::Method::kFlowEuler)
    euler_step(output, sample);
  else
    dpm_step(output, sample);
  ++done_;
}

void Sampler::euler_step(std::span<const float> output, std::span<float> sample) const {
  const float change = schedule_.sigmas[done_ + 1] - schedule_.sigmas[done_];
  for (size_t i = 0; i < sample.size(); ++i) sample[i] += change * output[i];
}

std::vector<float> Sampler::clean_estimate(std::span<const float> output,
                                           std::span<const float> sample) const {
  using Prediction = SchedulerConfig::Prediction;
  check(output, sample);
  const bool euler = config_.method == SchedulerConfig::Method::kFlowEuler;
  const Level level = level_of(schedule_.sigmas[done_], config_.flow_sigmas || euler);
  const auto alpha = static_cast<float>(level.alpha),
             deviation = static_cast<float>(level.deviation);
  std::vector<float> clean(sample.size());
  for (size_t i = 0; i < clean.size(); ++i) {
    switch (config_.prediction) {
      case Prediction::kEpsilon:
        clean[i] = (sample[i] - deviation * output[i]) / alpha;
        break;
      case Prediction::kVelocity:
        clean[i] = alpha * sample[i] - deviation * output[i];
        break;
      case Prediction::kFlow:
        clean[i] = sample[i] - deviation * output[i];
        break;
    }
  }
  return clean;
}

bool Sampler::second_order() const {
  if (config_.solver_order == 1 || done_ == 0) return false;
  const bool last = done_ + 1 == steps();
  return !(last && (config_.euler_at_final || config_.final_sigma_zero ||
                    (config_.lower_order_final && steps() < kFewSteps)));
}

void Sampler::dpm_step(std::span<const float> output, std::span<float> sample) {
  std::vector<float> clean = clean_estimate(output, sample);
  const auto level = [&](size_t i) { return level_of(schedule_.sigmas[i], config_.flow_sigmas); };
  const Level now = level(done_), next = level(done_ + 1);
  // exp(-h) - 1 for h = lambda(next) - lambda(now); -1 at the end, where h is infinite.
  const double decay = next.deviation * now.alpha / (now.deviation * next.alpha) - 1.0;
  const auto keep = static_cast<float>(next.deviation / now.deviation);
  const auto gain = static_cast<float>(-next.alpha * decay);
  float slope_gain = 0, inverse_ratio = 0;
  if (second_order()) {
    const double h = next.lambda() - now.lambda();
    inverse_ratio = static_cast<float>(h / (now.lambda() - level(done_ - 1).lambda()));
    slope_gain = static_cast<float>(config_.heun ? next.alpha * (decay / h + 1.0)
                                                 : -0.5 * next.alpha * decay);
  }
  for (size_t i = 0; i < sample.size(); ++i) {
    sample[i] = keep * sample[i] + gain * clean[i];
    if (slope_gain != 0) sample[i] += slope_gain * inverse_ratio * (clean[i] - previous_[i]);
  }
  previous_ = std::move(clean);
}

void guide(std::span<float> positive, std::span<const float> negative, double scale) {
  if (positive.size() != negative.size())
    throw_argument("guidance: {} and {} values", positive.size(), negative.size());
  const auto factor = static_cast<float>(scale);
  for (size_t i = 0; i < positive.size(); ++i)
    positive[i] = negative[i] + factor * (positive[i] - negative[i]);
}

}  // namespace stamp
