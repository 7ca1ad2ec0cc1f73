#include "stamp/diffusion/sampler.h"

#include <gtest/gtest.h>

#include <cmath>

#include "stamp/core/rng.h"

namespace stamp {
namespace {

using Prediction = SchedulerConfig::Prediction;

/// x = alpha clean + deviation noise.
struct Level {
  double alpha, deviation;
};
Level level_of(double sigma, bool flow) {
  if (flow) return {1 - sigma, sigma};
  const double alpha = 1 / std::sqrt(1 + sigma * sigma);
  return {alpha, sigma * alpha};
}

SchedulerConfig config_for(Prediction prediction) {
  SchedulerConfig config;
  config.prediction = prediction;
  config.flow_sigmas = prediction == Prediction::kFlow;
  return config;
}

/// What a model that knows the clean latents and the noise would say.
double output(Prediction prediction, Level level, double clean, double noise) {
  if (prediction == Prediction::kEpsilon) return noise;
  if (prediction == Prediction::kVelocity) return level.alpha * noise - level.deviation * clean;
  return noise - clean;
}

TEST(Sampler, APerfectModelLeadsBackToTheCleanLatents) {
  for (const Prediction prediction :
       {Prediction::kEpsilon, Prediction::kVelocity, Prediction::kFlow}) {
    for (const bool heun : {false, true}) {
      SchedulerConfig config = config_for(prediction);
      config.heun = heun;
      Sampler sampler(config, 6);
      const std::vector<float> clean = {0.5f, -1.25f, 2.0f}, noise = {1.0f, -0.5f, 0.25f};
      std::vector<float> sample(3), answer(3);
      const Level first = level_of(sampler.schedule().sigmas[0], config.flow_sigmas);
      for (size_t i = 0; i < 3; ++i)
        sample[i] = static_cast<float>(first.alpha * clean[i] + first.deviation * noise[i]);
      for (size_t step = 0; step < sampler.steps(); ++step) {
        const Level now = level_of(sampler.schedule().sigmas[step], config.flow_sigmas);
        for (size_t i = 0; i < 3; ++i)
          answer[i] = static_cast<float>(output(prediction, now, clean[i], noise[i]));
        const std::vector<float> estimate = sampler.clean_estimate(answer, sample);
        for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(estimate[i], clean[i], 1e-3) << step;
        sampler.step(answer, sample);
      }
      for (size_t i = 0; i < 3; ++i)  // epsilon divides by alpha(999) = 0.006
        EXPECT_NEAR(sample[i], clean[i], 1e-3) << static_cast<int>(prediction);
    }
  }
}

/// Error at the end of integrating a model whose clean estimate depends on the noise level.
double end_error(int order, int64_t steps) {
  SchedulerConfig config;
  config.solver_order = order;
  config.karras_sigmas = true;  // steps that shrink evenly as they become more
  config.final_sigma_zero = false;
  config.lower_order_final = false;
  const auto run = [&](int64_t count) {
    Sampler sampler(config, count);
    std::vector<float> sample = {1.0f}, answer(1);
    for (size_t i = 0; i < sampler.steps(); ++i) {
      const Level now = level_of(sampler.schedule().sigmas[i], false);
      const double clean = std::cos(std::log(now.alpha / now.deviation) / 3);
      answer[0] = static_cast<float>((sample[0] - now.alpha * clean) / now.deviation);
      sampler.step(answer, sample);
    }
    return static_cast<double>(sample[0]);
  };
  return std::abs(run(steps) - run(500));
}

TEST(Sampler, SecondOrderConvergesFaster) {
  EXPECT_LT(end_error(2, 40), 0.25 * end_error(1, 40));
  EXPECT_LT(end_error(2, 80), 0.3 * end_error(2, 40));
  EXPECT_GT(end_error(1, 80), 0.4 * end_error(1, 40));
}

TEST(Sampler, EulerIntegratesStraightLinesExactly) {
  SchedulerConfig config;
  config.method = SchedulerConfig::Method::kFlowEuler;
  config.prediction = Prediction::kFlow;
  config.flow_shift = 3;
  Sampler sampler(config, 5);
  std::vector<float> sample = {2.0f};
  const std::vector<float> velocity = {2.0f - 0.75f};
  for (size_t i = 0; i < sampler.steps(); ++i) {
    EXPECT_NEAR(sampler.clean_estimate(velocity, sample)[0], 0.75f, 1e-6);
    sampler.step(velocity, sample);
  }
  EXPECT_NEAR(sample[0], 0.75f, 1e-6);
}

TEST(Sampler, CountsStepsAndSizes) {
  Sampler sampler(SchedulerConfig{}, 1);
  std::vector<float> sample(4, 1.0f), output(4, 0.5f), shorter(3);
  EXPECT_THROW(sampler.step(shorter, sample), std::invalid_argument);
  EXPECT_THROW(sampler.clean_estimate(shorter, sample), std::invalid_argument);
  sampler.step(output, sample);
  EXPECT_THROW(sampler.step(output, sample), std::invalid_argument);
}

TEST(Guidance, MovesAwayFromTheNegative) {
  std::vector<float> positive = {1.0f, 2.0f};
  const std::vector<float> negative = {0.0f, 4.0f};
  guide(positive, negative, 4.5);
  EXPECT_FLOAT_EQ(positive[0], 4.5f);
  EXPECT_FLOAT_EQ(positive[1], -5.0f);
  EXPECT_THROW(guide(positive, std::span(negative).first(1), 2), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
