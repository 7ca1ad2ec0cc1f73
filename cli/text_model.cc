#include "text_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/evaluate.h"
#include "stamp/pipelines/quantize_layers.h"

namespace stamp::cli {
namespace {

void take_defaults(const CLI::App& app, const GenerationConfig& config, const Tokenizer& tokenizer,
                   TextModelFlags& flags) {
  SamplingOptions& s = flags.generate.sampling;
  const auto given = [&](const char* flag) { return app.count(flag) > 0; };
  if (!given("--temperature")) s.temperature = config.do_sample ? config.temperature : 0;
  if (!given("--top-k")) s.top_k = config.top_k;
  if (!given("--top-p")) s.top_p = config.top_p;
  if (!given("--repetition-penalty")) s.repetition_penalty = config.repetition_penalty;
  if (flags.greedy) s.temperature = 0;
  std::vector<int64_t>& stop_ids = flags.generate.stop_ids;
  if (given("--stop-id")) return;
  stop_ids = config.eos_token_ids;
  const int64_t eos = tokenizer.eos_id();
  if (eos >= 0 && std::find(stop_ids.begin(), stop_ids.end(), eos) == stop_ids.end())
    stop_ids.push_back(eos);
}

void calibrate_and_make(const TextModelFlags& flags, TextModel& text) {
  const auto calibration_text = [&] {
    return CalibrateOptions{
        .ids = calibration_ids(text.tokenizer, flags.model, flags.calibration, {}),
        .bos_id = text.tokenizer.bos_id()};
  };
  text.calibration = calibration_for(text.source, text.recipe, calibration_text);
  const WeightCodes codes =
      weight_codes_for(text.source, text.recipe, text.calibration, calibration_text);
  text.model = make_model(
      text.source, {.recipe = text.recipe, .calibration = &text.calibration, .codes = &codes});
}

}  // namespace

void add_text_model(CLI::App& app, TextModelFlags& flags) {
  GenerateOptions& options = flags.generate;
  app.add_option("MODEL", flags.model, "Hugging Face model directory")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--max-new-tokens", options.max_new_tokens, "tokens at most")
      ->capture_default_str();
  app.add_option("--recipe", flags.recipe,
                 "preset name or JSON file (default: that of stored weights, or bf16)");
  app.add_option("--calibration", flags.calibration, "calibration text for recipes that need one");
  app.add_flag("--greedy", flags.greedy, "take the likeliest token (temperature 0)");
  app.add_option("--temperature", options.sampling.temperature, "0: greedy");
  app.add_option("--top-k", options.sampling.top_k, "0: off");
  app.add_option("--top-p", options.sampling.top_p, "(0, 1]");
  app.add_option("--repetition-penalty", options.sampling.repetition_penalty, "1: off");
  app.add_option("--stop-id", options.stop_ids, "token ids that end generation")->delimiter(',');
  app.add_option("--seed", options.seed, "seed of the sampler")->capture_default_str();
  add_compute(app, "--compute", flags.compute, "arithmetic: fp32 or bf16");
}

TextModel open_text_model(const CLI::App& app, TextModelFlags& flags) {
  TextModel text{.source = ModelSource::open(flags.model),
                 .tokenizer = Tokenizer::load(flags.model),
                 .recipe = recipe_or_stored(flags.recipe, flags.model)};
  take_defaults(app, read_generation_config(flags.model, text.source->config()), text.tokenizer,
                flags);
  calibrate_and_make(flags, text);
  text.context.compute = usable_compute(flags.compute);
  if (text.model->simulated())
    fmt::print(stderr, "note: recipe {} runs simulated, not in integers\n", text.recipe.name);
  return text;
}

}  // namespace stamp::cli
