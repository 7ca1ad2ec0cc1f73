// Whole text-to-image pipelines against runs of `diffusers`.
#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/io/config_reader.h"
#include "stamp/pipelines/decode_image.h"
#include "stamp/pipelines/denoise.h"
#include "stamp/pipelines/prompt.h"
#include "stamp/pipelines/verify_recorder.h"

namespace stamp {
namespace {

constexpr double kTolerance = 1e-4;
constexpr int kPictureLevels = 1;  // of 255 that a pixel may differ

struct Run {
  int64_t steps = 0, max_tokens = 0;
  double guidance = 1.0;
  std::string prompt, negative_prompt, instruction;
};

Run read_run(const std::filesystem::path& file) {
  const Json json = read_json(file);
  const ConfigReader run(json, file.string());
  Run result;
  result.steps = run.required(run.integer("num_inference_steps", 1, 1000), "num_inference_steps");
  result.max_tokens =
      run.required(run.integer("max_sequence_length", 1, 4096), "max_sequence_length");
  result.guidance = run.required(run.number("guidance_scale", 0, 100), "guidance_scale");
  result.prompt = run.required(run.text("prompt"), "prompt");
  result.negative_prompt = run.text("negative_prompt").value_or("");
  if (const Json* lines = run.find("complex_human_instruction"))
    for (const Json& line : *lines)
      result.instruction += (result.instruction.empty() ? "" : "\n") + line.get<std::string>();
  return result;
}

/// The parts of a pipeline, its oracle and where results go.
struct Case {
  ImageDirectory pipeline;
  const Safetensors& oracle;
  Run run;
  VerifyCase& result;

  const TensorView& tensor(const std::string& name) const { return oracle.at(name); }
  void check(const std::string& name, std::span<const float> got) const {
    if (oracle.contains(name)) check_close(result, name, got, pixel_major(oracle.at(name)));
  }
};

std::vector<float> flat(const PixelMap& map) {
  return {map.pixels.data(), map.pixels.data() + map.pixels.size()};
}

void check_picture(const Case& c, const PixelMap& image) {
  const Picture picture = to_picture(image);
  const std::vector<float> want = read_values(c.tensor("image_u8"));
  if (picture.rgb.size() != want.size()) return fail(c.result, "image_u8: sizes differ");
  for (size_t i = 0; i < want.size(); ++i)
    if (std::abs(static_cast<float>(picture.rgb[i]) - want[i]) > kPictureLevels)
      return fail(c.result,
                  fmt::format("image_u8: at {} expected {}, got {}", i, want[i], picture.rgb[i]));
}

/// Decodes and compares; `prefix` is "" or "text_".
void check_image(const Case& c, const PixelMap& latents, const std::string& prefix) {
  const auto autoencoder = open_autoencoder(c.pipeline.part("vae"));
  ForwardContext context;
  PixelMap image = decode_latents(*autoencoder, latents, context);
  if (prefix.empty()) {
    c.check("vae_decoded", flat(image));
    check_picture(c, image);
  }
  std::vector<float> unit = flat(image);
  for (float& value : unit) value = std::clamp(value * 0.5f + 0.5f, 0.0f, 1.0f);
  c.check(prefix + "image", unit);
}

/// Everything that follows from given prompt embeddings.
void check_denoising(const Case& c, const ImageTransformer& model,
                     const SchedulerConfig& scheduler) {
  ForwardContext context;
  const auto condition = [&](const std::string& name) {
    const Matrix states = read_rows(c.tensor(name + "_embeds"), 0);
    return model.condition(states.view(), read_mask(c.tensor(name + "_attention_mask"), 0),
                           context);
  };
  const ImageCondition positive = condition("prompt"), negative = condition("negative_prompt");
  const PixelMap start = read_map(c.tensor("latents"), 0);
  std::vector<float> predictions, latents;
  DenoiseOptions options{.steps = c.run.steps};
  const GuidedCondition both{positive, &negative, c.run.guidance}, alone{positive};
  options.on_step = [&](size_t, const PixelMap& prediction, const PixelMap& state) {
    for (const float value : to_planes(prediction)) predictions.push_back(value);
    for (const float value : to_planes(state)) latents.push_back(value);
  };
  const PixelMap out = denoise(model, scheduler, start, both, options, context);
  check_close(c.result, "guided_pred_per_step", predictions,
              read_values(c.tensor("guided_pred_per_step")));
  check_close(c.result, "latents_per_step", latents, read_values(c.tensor("latents_per_step")));
  c.check("latents_out", flat(out));
  check_image(c, out, "");
  options.on_step = nullptr;
  if (c.oracle.contains("euler_latents_out")) {
    const SchedulerConfig euler{.method = SchedulerConfig::Method::kFlowEuler, .flow_shift = 3.0};
    c.check("euler_latents_out", flat(denoise(model, euler, start, both, options, context)));
    const Schedule schedule = make_schedule(euler, c.run.steps);
    c.check("euler_sigmas", schedule.sigmas);
    c.check("euler_timesteps", schedule.timesteps);
  }
  c.check("nocfg_latents_out", flat(denoise(model, scheduler, start, alone, options, context)));
}

void check_prompt(const Case& c, const std::string& name, const EncodedPrompt& prompt) {
  const std::vector<float> ids(prompt.ids.begin(), prompt.ids.end());
  if (ids != read_values(c.tensor(name + "_ids"))) fail(c.result, name + "_ids differ");
  if (prompt.mask != read_mask(c.tensor(name + "_mask"), 0)) fail(c.result, name + "_mask differs");
  check_close(c.result, name + "_embeds",
              {prompt.states.data(), static_cast<size_t>(prompt.states.size())},
              read_values(c.tensor(name + "_embeds")));
}

/// Everything from the texts on. Denoising starts from states without padding, as `stamp image`
/// has them.
void check_texts(const Case& c, const ImageTransformer& model, const SchedulerConfig& scheduler) {
  const Tokenizer tokenizer = Tokenizer::load(c.pipeline.part("tokenizer"));
  const auto encoder = open_text_encoder(c.pipeline.part("text_encoder"));
  ForwardContext context;
  const auto encode = [&](const std::string& text, bool with_instruction, bool keep_padding) {
    PromptOptions options{.family = c.pipeline.family, .max_tokens = c.run.max_tokens};
    if (with_instruction) options.instruction = c.run.instruction;
    options.keep_padding = keep_padding;
    return encode_prompt(tokenizer, *encoder, text, options, context);
  };
  check_prompt(c, "text_prompt", encode(c.run.prompt, true, true));
  check_prompt(c, "text_negative", encode(c.run.negative_prompt, false, true));
  const auto condition = [&](const EncodedPrompt& prompt) {
    return model.condition(prompt.states.view(), prompt.mask, context);
  };
  const ImageCondition positive = condition(encode(c.run.prompt, true, false));
  const ImageCondition negative = condition(encode(c.run.negative_prompt, false, false));
  const PixelMap out =
      denoise(model, scheduler, read_map(c.tensor("latents"), 0),
              {positive, &negative, c.run.guidance}, {.steps = c.run.steps}, context);
  c.check("text_latents_out", flat(out));
  check_image(c, out, "text_");
}

}  // namespace

void verify_pipeline(const std::filesystem::path& directory, VerifyCase& result) {
  result.tolerance = kTolerance;
  const Safetensors oracle = Safetensors::open(directory / "oracle.safetensors");
  const Case c{open_image_directory(directory / "ckpt"), oracle, read_run(directory / "run.json"),
               result};
  const auto model = open_image_transformer(c.pipeline.part("transformer"));
  const SchedulerConfig scheduler = read_scheduler_config(c.pipeline.part("scheduler"));
  const Schedule schedule = make_schedule(scheduler, c.run.steps);
  if (schedule.timesteps != read_values(oracle.at("timesteps"))) fail(result, "timesteps differ");
  c.check("sigmas", schedule.sigmas);
  check_denoising(c, *model, scheduler);
  check_texts(c, *model, scheduler);
}

}  // namespace stamp
