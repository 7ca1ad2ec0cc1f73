// Schedulers against runs made by `diffusers`.
#include "stamp/core/error.h"
#include "stamp/diffusion/sampler.h"
#include "stamp/io/config_reader.h"
#include "stamp/io/safetensors.h"
#include "stamp/pipelines/verify_checks.h"

namespace stamp {
namespace {

constexpr double kTolerance = 1e-5;

struct Run {
  int64_t steps = 0;
  std::optional<double> mu;
};

Run read_run(const std::filesystem::path& file) {
  const Json json = read_json(file);
  const ConfigReader run(json, file.string());
  return {run.required(run.integer("num_inference_steps", 1, 1 << 20), "num_inference_steps"),
          run.number("mu", -100, 100)};
}

}  // namespace

void verify_scheduler(const std::filesystem::path& directory, VerifyCase& result) {
  result.tolerance = kTolerance;
  const Safetensors oracle = Safetensors::open(directory / "oracle.safetensors");
  const Run run = read_run(directory / "run.json");
  Sampler sampler(read_scheduler_config(directory / "ckpt"), run.steps, run.mu);
  check_close(result, "sigmas", sampler.schedule().sigmas, read_values(oracle.at("sigmas")));
  const TensorView& timesteps = oracle.at("timesteps");
  const std::vector<float> want = read_values(timesteps);
  if (timesteps.dtype == DType::kI64 && want != sampler.schedule().timesteps)
    fail(result, "timesteps differ");
  check_close(result, "timesteps", sampler.schedule().timesteps, want);
  std::vector<float> sample = read_values(oracle.at("sample_0"));
  const std::vector<float> outputs = read_values(oracle.at("model_outputs"));
  const std::vector<float> samples = read_values(oracle.at("samples"));
  const size_t size = sample.size();
  if (outputs.size() != size * sampler.steps() || samples.size() != outputs.size())
    throw_runtime("{}: expected model_outputs and samples of {} steps", directory.string(),
                  sampler.steps());
  for (size_t i = 0; i < sampler.steps(); ++i) {
    sampler.step(std::span(outputs).subspan(i * size, size), sample);
    check_close(result, fmt::format("samples[{}]", i), sample,
                std::span(samples).subspan(i * size, size));
  }
}

}  // namespace stamp
