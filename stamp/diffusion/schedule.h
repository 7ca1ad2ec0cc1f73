#pragma once
// Noise levels of a denoising run: which times the model is asked about, and the sigmas between.
#include <optional>
#include <vector>

#include "stamp/diffusion/scheduler_config.h"

namespace stamp {

struct Schedule {
  std::vector<float> timesteps;  // [steps]: what the model is told
  std::vector<float> sigmas;     // [steps + 1]: noise level before each step, and at the end
};

/// `mu` is needed when, and only when, the config shifts dynamically. Throws std::invalid_argument
/// otherwise, and unless 1 <= steps <= train_steps.
Schedule make_schedule(const SchedulerConfig& config, int64_t steps,
                       std::optional<double> mu = std::nullopt);

}  // namespace stamp
