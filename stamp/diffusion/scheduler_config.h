#pragma once
// scheduler_config.json of diffusers directories.
#include <cstdint>
#include <filesystem>
#include <string>

namespace stamp {

class ConfigReader;

/// Defaults are those of the diffusers classes: a key that an older file lacks takes them.
struct SchedulerConfig {
  enum class Method { kDpmSolver, kFlowEuler };
  enum class Prediction { kEpsilon, kVelocity, kFlow };  // of DPM-Solver; Euler's is kFlow
  enum class Spacing { kLinspace, kLeading, kTrailing };

  Method method = Method::kDpmSolver;
  int64_t train_steps = 1000;
  // DPM-Solver
  double beta_start = 0.0001, beta_end = 0.02;
  bool scaled_linear_betas = false;  // square roots are linear, not the betas
  Prediction prediction = Prediction::kEpsilon;
  Spacing spacing = Spacing::kLinspace;
  int64_t steps_offset = 0;
  int solver_order = 2;  // 1 or 2
  bool heun = false;     // the other second-order formula
  bool lower_order_final = true, euler_at_final = false;
  bool final_sigma_zero = true;
  double lambda_min_clipped = -1e308;
  bool karras_sigmas = false;
  bool flow_sigmas = false;
  // both
  double flow_shift = 1.0;
  bool dynamic_shift = false;         // the shift is exp(mu), mu given with the number of steps
  bool linear_dynamic_shift = false;  // the shift is mu itself
};

/// Reads DIR/scheduler_config.json of DPMSolverMultistepScheduler (dpmsolver++, orders 1 and 2) or
/// FlowMatchEulerDiscreteScheduler. Throws std::runtime_error naming file, key and value for other
/// classes, for options that are not implemented and for values out of range.
SchedulerConfig read_scheduler_config(const std::filesystem::path& directory);
/// The same of a file that was read.
SchedulerConfig read_scheduler_config(const ConfigReader& config);

}  // namespace stamp
