#include "stamp/diffusion/scheduler_config.h"

#include <gtest/gtest.h>

#include "stamp/core/error.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

SchedulerConfig read(const std::string& json) {
  const TempDirectory dir;
  dir.write("scheduler_config.json", json);
  return read_scheduler_config(dir.path());
}

constexpr const char* kDpm = R"("_class_name": "DPMSolverMultistepScheduler")";
constexpr const char* kEuler = R"("_class_name": "FlowMatchEulerDiscreteScheduler")";

TEST(SchedulerConfig, TakesTheDefaultsOfTheClasses) {
  const SchedulerConfig dpm = read(fmt::format("{{{}}}", kDpm));
  EXPECT_EQ(dpm.method, SchedulerConfig::Method::kDpmSolver);
  EXPECT_EQ(dpm.solver_order, 2);
  EXPECT_TRUE(dpm.final_sigma_zero);
  EXPECT_EQ(dpm.prediction, SchedulerConfig::Prediction::kEpsilon);
  const SchedulerConfig euler = read(fmt::format(R"({{{}, "shift": 3.0}})", kEuler));
  EXPECT_EQ(euler.method, SchedulerConfig::Method::kFlowEuler);
  EXPECT_EQ(euler.flow_shift, 3.0);
}

TEST(SchedulerConfig, ReadsBareInfinity) {
  EXPECT_LT(
      read(fmt::format(R"({{{}, "lambda_min_clipped": -Infinity}})", kDpm)).lambda_min_clipped,
      -1e300);
}

TEST(SchedulerConfig, NamesWhatItDoesNotSupport) {
  for (const char* option :
       {R"("algorithm_type": "sde-dpmsolver++")", R"("solver_order": 3)", R"("thresholding": true)",
        R"("use_beta_sigmas": true)", R"("beta_schedule": "squaredcos_cap_v2")",
        R"("prediction_type": "sample")", R"("prediction_type": "flow_prediction")",
        R"("use_flow_sigmas": true)", R"("num_train_timesteps": -5)",
        R"("timestep_spacing": "random")", R"("trained_betas": [0.1])"}) {
    const std::string key = std::string(option).substr(1, std::string(option).find('"', 1) - 1);
    const std::string error =
        runtime_error_of([&] { read(fmt::format("{{{}, {}}}", kDpm, option)); });
    EXPECT_TRUE(error.find(key) != error.npos || error.find("prediction_type") != error.npos)
        << option << ": " << error;
  }
  EXPECT_HAS(runtime_error_of([] { read(R"({"_class_name": "DDIMScheduler"})"); }),
             "DDIMScheduler");
  EXPECT_HAS(runtime_error_of([] { read("{}"); }), "_class_name");
  EXPECT_HAS(
      runtime_error_of([] { read(fmt::format(R"({{{}, "shift_terminal": 0.1}})", kEuler)); }),
      "shift_terminal");
}

}  // namespace
}  // namespace stamp
