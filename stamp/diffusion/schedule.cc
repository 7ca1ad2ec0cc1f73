#include "stamp/diffusion/schedule.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"

namespace stamp {
namespace {

using Values = std::vector<double>;
using Spacing = SchedulerConfig::Spacing;

/// `count` numbers from `first` to `last`; of one number, `first`.
Values linspace(double first, double last, int64_t count) {
  Values values(static_cast<size_t>(count), first);
  const double step = count > 1 ? (last - first) / static_cast<double>(count - 1) : 0.0;
  for (size_t i = 1; i < values.size(); ++i) values[i] = first + static_cast<double>(i) * step;
  if (count > 1) values.back() = last;
  return values;
}

/// Products of 1 - beta up to each training step, in fp32 as diffusers has them.
std::vector<float> cumulated_alphas(const SchedulerConfig& config) {
  const bool roots = config.scaled_linear_betas;
  const auto first = static_cast<float>(roots ? std::sqrt(config.beta_start) : config.beta_start);
  const auto last = static_cast<float>(roots ? std::sqrt(config.beta_end) : config.beta_end);
  const int64_t count = config.train_steps;
  const float step = (last - first) / static_cast<float>(count - 1);
  std::vector<float> result;
  double product = 1.0;  // torch's cumprod of fp32 accumulates in fp64
  for (int64_t i = 0; i < count; ++i) {
    // From both ends, as torch.linspace does.
    const float x = i < count / 2 ? first + step * static_cast<float>(i)
                                  : last - step * static_cast<float>(count - 1 - i);
    product *= static_cast<double>(1.0f - (roots ? x * x : x));
    result.push_back(static_cast<float>(product));
  }
  return result;
}

Values training_sigmas(const SchedulerConfig& config) {
  Values sigmas;
  for (const float alpha : cumulated_alphas(config))
    sigmas.push_back(static_cast<double>(std::sqrt((1.0f - alpha) / alpha)));
  return sigmas;
}

/// Number of training steps whose log signal-to-noise ratio is not below the clip.
int64_t usable_steps(const SchedulerConfig& config, const Values& sigmas) {
  return std::count_if(sigmas.begin(), sigmas.end(),
                       [&](double sigma) { return -std::log(sigma) >= config.lambda_min_clipped; });
}

Values spaced_timesteps(const SchedulerConfig& config, int64_t usable, int64_t steps) {
  Values times;
  const auto last = static_cast<double>(usable);
  if (config.spacing == Spacing::kTrailing) {
    const double ratio = static_cast<double>(config.train_steps) / static_cast<double>(steps);
    for (int64_t i = 0; i < steps; ++i)
      times.push_back(std::nearbyint(last - static_cast<double>(i) * ratio) - 1);
    return times;
  }
  if (config.spacing == Spacing::kLeading) {
    const int64_t ratio = usable / (steps + 1);
    for (int64_t i = steps; i >= 1; --i)
      times.push_back(static_cast<double>(i * ratio + config.steps_offset));
    return times;
  }
  times = linspace(0, last - 1, steps + 1);
  std::reverse(times.begin(), times.end());
  times.pop_back();
  for (double& time : times) time = std::nearbyint(time);
  return times;
}

/// table[at], linear between entries.
double interpolate(const Values& table, double at) {
  const double place = std::clamp(at, 0.0, static_cast<double>(table.size() - 1));
  const auto low = static_cast<size_t>(place);
  if (low + 1 >= table.size()) return table.back();
  return table[low] + (place - static_cast<double>(low)) * (table[low + 1] - table[low]);
}

/// The training step, fractional, whose sigma this is.
double step_of_sigma(const Values& sigmas, double sigma) {
  const double wanted = std::log(std::max(sigma, 1e-10));
  const auto above = std::upper_bound(sigmas.begin(), sigmas.end(), sigma,
                                      [&](double, double s) { return wanted < std::log(s); });
  const auto high = std::clamp<std::ptrdiff_t>(above - sigmas.begin(), 1,
                                               static_cast<std::ptrdiff_t>(sigmas.size()) - 1);
  const double a = std::log(sigmas[static_cast<size_t>(high - 1)]);
  const double b = std::log(sigmas[static_cast<size_t>(high)]);
  const double weight = std::clamp((a - wanted) / (a - b), 0.0, 1.0);
  return static_cast<double>(high - 1) + weight;
}

/// Karras et al. 2022, equation 5, rho = 7.
Values karras(double largest, double smallest, int64_t steps) {
  constexpr double kRho = 7.0;
  const double first = std::pow(largest, 1 / kRho), last = std::pow(smallest, 1 / kRho);
  Values sigmas;
  for (const double ramp : linspace(0, 1, steps))
    sigmas.push_back(std::pow(first + ramp * (last - first), kRho));
  return sigmas;
}

double shifted(double sigma, double shift) { return shift * sigma / (1 + (shift - 1) * sigma); }

double shift_of(const SchedulerConfig& config, std::optional<double> mu) {
  if (!config.dynamic_shift) return config.flow_shift;
  return config.linear_dynamic_shift ? *mu : std::exp(*mu);
}

struct Levels {
  Values timesteps, sigmas;
};

Levels dpm_levels(const SchedulerConfig& config, int64_t steps) {
  const Values table = training_sigmas(config);
  Levels result;
  if (config.karras_sigmas) {
    result.sigmas = karras(table.back(), table.front(), steps);
    for (const double sigma : result.sigmas)
      result.timesteps.push_back(std::nearbyint(step_of_sigma(table, sigma)));
  } else {
    result.timesteps = spaced_timesteps(config, usable_steps(config, table), steps);
    for (const double time : result.timesteps) result.sigmas.push_back(interpolate(table, time));
  }
  result.sigmas.push_back(config.final_sigma_zero ? 0.0 : table.front());
  return result;
}

Levels dpm_flow_levels(const SchedulerConfig& config, int64_t steps, double shift) {
  const auto count = static_cast<double>(config.train_steps);
  Levels result;
  Values alphas = linspace(1.0, 1.0 / count, steps + 1);
  for (size_t i = alphas.size() - 1; i >= 1; --i) {
    result.sigmas.push_back(shifted(1.0 - alphas[i], shift));
    result.timesteps.push_back(std::trunc(result.sigmas.back() * count));
  }
  // With "sigma_min" diffusers takes the smallest sigma of the noise table even here.
  result.sigmas.push_back(config.final_sigma_zero ? 0.0 : training_sigmas(config).front());
  return result;
}

Levels euler_levels(const SchedulerConfig& config, int64_t steps, double shift) {
  const auto count = static_cast<double>(config.train_steps);
  // The class shifts the ends once when it is made, unless it shifts dynamically, and all again.
  const double smallest = static_cast<double>(static_cast<float>(1.0 / count));
  const double low = config.dynamic_shift ? smallest : shifted(smallest, shift);
  Levels result;
  for (const double sigma : linspace(1.0, low, steps)) {
    const auto rounded = static_cast<float>(shifted(sigma, shift));
    result.sigmas.push_back(static_cast<double>(rounded));
    result.timesteps.push_back(static_cast<double>(rounded * static_cast<float>(count)));
  }
  result.sigmas.push_back(0.0);
  return result;
}

}  // namespace

Schedule make_schedule(const SchedulerConfig& config, int64_t steps, std::optional<double> mu) {
  if (steps < 1 || steps > config.train_steps)
    throw_argument("schedule: expected 1 to {} steps, got {}", config.train_steps, steps);
  if (config.dynamic_shift != mu.has_value())
    throw_argument("schedule: mu is {} for a scheduler that {} dynamically",
                   mu ? "given" : "missing", config.dynamic_shift ? "shifts" : "does not shift");
  const double shift = shift_of(config, mu);
  const bool euler = config.method == SchedulerConfig::Method::kFlowEuler;
  const Levels levels = euler                ? euler_levels(config, steps, shift)
                        : config.flow_sigmas ? dpm_flow_levels(config, steps, shift)
                                             : dpm_levels(config, steps);
  return {{levels.timesteps.begin(), levels.timesteps.end()},
          {levels.sigmas.begin(), levels.sigmas.end()}};
}

}  // namespace stamp
