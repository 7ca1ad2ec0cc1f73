#include "stamp/diffusion/scheduler_config.h"

#include "stamp/io/config_reader.h"

namespace stamp {
namespace {

constexpr double kAny = 1e308;

/// One of `names`; the index of the first is the default.
template <size_t N>
size_t choice(const ConfigReader& config, const char* key, const char* const (&names)[N]) {
  const std::string text = config.text(key).value_or(names[0]);
  for (size_t i = 0; i < N; ++i)
    if (text == names[i]) return i;
  config.reject(key, fmt::format("supported are {}", fmt::join(names, ", ")));
}

void reject_flags(const ConfigReader& config, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (config.boolean(key).value_or(false)) config.reject(key, "supported is false");
}

void read_dpm_solver(const ConfigReader& config, SchedulerConfig& result) {
  using Prediction = SchedulerConfig::Prediction;
  using Spacing = SchedulerConfig::Spacing;
  reject_flags(config, {"thresholding", "rescale_betas_zero_snr", "use_exponential_sigmas",
                        "use_beta_sigmas", "use_lu_lambdas"});
  if (config.find("trained_betas")) config.reject("trained_betas", "supported is null");
  const char* variance = "variance_type";  // pipelines cut a learned variance off themselves
  if (config.find(variance)) config.reject(variance, "supported is null");
  constexpr const char* kAlgorithms[] = {"dpmsolver++"};
  choice(config, "algorithm_type", kAlgorithms);
  result.beta_start = config.number("beta_start", 1e-9, 0.999).value_or(0.0001);
  result.beta_end = config.number("beta_end", 1e-9, 0.999).value_or(0.02);
  constexpr const char* kSchedules[] = {"linear", "scaled_linear"};
  result.scaled_linear_betas = choice(config, "beta_schedule", kSchedules) == 1;
  constexpr const char* kPredictions[] = {"epsilon", "v_prediction", "flow_prediction"};
  result.prediction = static_cast<Prediction>(choice(config, "prediction_type", kPredictions));
  constexpr const char* kSpacings[] = {"linspace", "leading", "trailing"};
  result.spacing = static_cast<Spacing>(choice(config, "timestep_spacing", kSpacings));
  result.steps_offset = config.integer("steps_offset", 0, 1).value_or(0);
  result.solver_order = static_cast<int>(config.integer("solver_order", 1, 2).value_or(2));
  constexpr const char* kSolvers[] = {"midpoint", "heun"};
  result.heun = choice(config, "solver_type", kSolvers) == 1;
  result.lower_order_final = config.boolean("lower_order_final").value_or(true);
  result.euler_at_final = config.boolean("euler_at_final").value_or(false);
  constexpr const char* kFinals[] = {"zero", "sigma_min"};
  result.final_sigma_zero = choice(config, "final_sigmas_type", kFinals) == 0;
  result.lambda_min_clipped = config.number("lambda_min_clipped", -kAny, kAny).value_or(-kAny);
  result.karras_sigmas = config.boolean("use_karras_sigmas").value_or(false);
  result.flow_sigmas = config.boolean("use_flow_sigmas").value_or(false);
  result.flow_shift = config.number("flow_shift", 1e-3, 1e3).value_or(1.0);
  if (result.flow_sigmas != (result.prediction == Prediction::kFlow))
    config.reject("prediction_type", "flow_prediction and use_flow_sigmas go together");
  if (result.flow_sigmas && result.karras_sigmas)
    config.reject("use_karras_sigmas", "expected false with use_flow_sigmas");
}

void read_flow_euler(const ConfigReader& config, SchedulerConfig& result) {
  reject_flags(config, {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas",
                        "stochastic_sampling", "invert_sigmas"});
  if (config.find("shift_terminal")) config.reject("shift_terminal", "supported is null");
  result.method = SchedulerConfig::Method::kFlowEuler;
  result.prediction = SchedulerConfig::Prediction::kFlow;
  result.flow_shift = config.number("shift", 1e-3, 1e3).value_or(1.0);
}

}  // namespace

SchedulerConfig read_scheduler_config(const std::filesystem::path& directory) {
  const auto path = directory / "scheduler_config.json";
  const Json json = read_json(path);
  return read_scheduler_config(ConfigReader(json, path.string()));
}

SchedulerConfig read_scheduler_config(const ConfigReader& config) {
  SchedulerConfig result;
  result.train_steps = config.integer("num_train_timesteps", 2, 100000).value_or(1000);
  result.dynamic_shift = config.boolean("use_dynamic_shifting").value_or(false);
  constexpr const char* kShifts[] = {"exponential", "linear"};
  result.linear_dynamic_shift = choice(config, "time_shift_type", kShifts) == 1;
  const std::string name = config.required(config.text("_class_name"), "_class_name");
  if (name == "DPMSolverMultistepScheduler")
    read_dpm_solver(config, result);
  else if (name == "FlowMatchEulerDiscreteScheduler")
    read_flow_euler(config, result);
  else
    config.reject("_class_name",
                  "supported are DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler");
  return result;
}

}  // namespace stamp
