#pragma once
// One denoising run: model outputs in, less noisy latents out.
#include <span>
#include <vector>

#include "stamp/diffusion/schedule.h"

namespace stamp {

/// DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095; multistep, orders 1 and 2) or Euler steps of a
/// flow. Keeps the last estimates of the clean latents.
class Sampler {
 public:
  /// Throws as make_schedule().
  Sampler(const SchedulerConfig& config, int64_t steps, std::optional<double> mu = std::nullopt);

  const Schedule& schedule() const { return schedule_; }
  size_t steps() const { return schedule_.timesteps.size(); }
  /// Takes the model's output for step number `done` = 0, 1, ... and replaces `sample` by the next
  /// one. Throws std::invalid_argument when sizes differ or all steps are done.
  void step(std::span<const float> output, std::span<float> sample);
  /// The clean latents that `output`, for the step that step() would take next, stands for. Throws
  /// as step().
  std::vector<float> clean_estimate(std::span<const float> output,
                                    std::span<const float> sample) const;

 private:
  void check(std::span<const float> output, std::span<const float> sample) const;
  void euler_step(std::span<const float> output, std::span<float> sample) const;
  void dpm_step(std::span<const float> output, std::span<float> sample);
  bool second_order() const;

  SchedulerConfig config_;
  Schedule schedule_;
  size_t done_ = 0;
  std::vector<float> previous_;  // clean estimate of the step before
};

/// Classifier-free guidance: positive := negative + scale (positive - negative). Throws
/// std::invalid_argument when sizes differ.
void guide(std::span<float> positive, std::span<const float> negative, double scale);

}  // namespace stamp
