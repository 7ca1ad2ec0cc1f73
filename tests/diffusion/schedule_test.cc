#include "stamp/diffusion/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace stamp {
namespace {

using Spacing = SchedulerConfig::Spacing;
using Floats = std::vector<float>;

TEST(Schedule, SpacingsRoundHalfToEven) {
  SchedulerConfig config;
  EXPECT_EQ(make_schedule(config, 4).timesteps, (Floats{999, 749, 500, 250}));
  config.spacing = Spacing::kLeading;
  config.steps_offset = 1;
  EXPECT_EQ(make_schedule(config, 4).timesteps, (Floats{801, 601, 401, 201}));
  config.spacing = Spacing::kTrailing;
  EXPECT_EQ(make_schedule(config, 4).timesteps, (Floats{999, 749, 499, 249}));
}

TEST(Schedule, SigmasComeFromCumulatedBetas) {
  SchedulerConfig config;
  const Schedule schedule = make_schedule(config, 10);
  double alpha = 1;
  for (int t = 0; t <= 999; ++t) alpha *= 1 - (1e-4 + (0.02 - 1e-4) * t / 999);
  EXPECT_NEAR(schedule.sigmas[0], std::sqrt((1 - alpha) / alpha), 1e-4 * schedule.sigmas[0]);
  EXPECT_EQ(schedule.sigmas.size(), 11u);
  EXPECT_EQ(schedule.sigmas.back(), 0);
  config.final_sigma_zero = false;
  EXPECT_NEAR(make_schedule(config, 10).sigmas.back(), std::sqrt(1e-4 / (1 - 1e-4)), 1e-6);
}

TEST(Schedule, SigmasFallInEveryMode) {
  for (int mode = 0; mode < 4; ++mode) {
    SchedulerConfig config;
    config.karras_sigmas = mode == 1;
    config.flow_sigmas = mode == 2;
    config.flow_shift = mode >= 2 ? 3.0 : 1.0;
    if (mode == 3) config.method = SchedulerConfig::Method::kFlowEuler;
    for (const int64_t steps : {1, 2, 7, 50}) {
      const Schedule schedule = make_schedule(config, steps);
      ASSERT_EQ(schedule.timesteps.size(), static_cast<size_t>(steps));
      for (size_t i = 0; i + 1 < schedule.sigmas.size(); ++i)
        EXPECT_GT(schedule.sigmas[i], schedule.sigmas[i + 1]) << mode << " " << steps << " " << i;
    }
  }
}

TEST(Schedule, FlowOfDpmSolverTruncatesTimes) {
  SchedulerConfig config;
  config.flow_sigmas = true;
  config.flow_shift = 3;
  const Schedule schedule = make_schedule(config, 4);
  EXPECT_EQ(schedule.timesteps, (Floats{999, 899, 749, 499}));
  EXPECT_NEAR(schedule.sigmas[0], 0.99967, 1e-5);
  EXPECT_NEAR(schedule.sigmas[2], 0.75, 1e-3);
}

TEST(Schedule, EulerShiftsTwiceUnlessDynamic) {
  SchedulerConfig config;
  config.method = SchedulerConfig::Method::kFlowEuler;
  config.flow_shift = 3;
  const Schedule schedule = make_schedule(config, 2);
  const double once = 3 * 0.001 / (1 + 2 * 0.001), twice = 3 * once / (1 + 2 * once);
  EXPECT_EQ(schedule.sigmas[0], 1.0f);
  EXPECT_NEAR(schedule.sigmas[1], twice, 1e-7);
  EXPECT_NEAR(schedule.timesteps[1], 1000 * twice, 1e-4);
  config.dynamic_shift = true;
  const double shift = std::exp(0.8);
  EXPECT_NEAR(make_schedule(config, 2, 0.8).sigmas[1], shift * 0.001 / (1 + (shift - 1) * 0.001),
              1e-7);
  EXPECT_THROW(make_schedule(config, 2), std::invalid_argument);
}

TEST(Schedule, RefusesAbsurdSteps) {
  const SchedulerConfig config;
  for (const int64_t steps : {int64_t{-1}, int64_t{0}, int64_t{1001}, int64_t{1} << 60})
    EXPECT_THROW(make_schedule(config, steps), std::invalid_argument) << steps;
  EXPECT_THROW(make_schedule(config, 5, 1.0), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
