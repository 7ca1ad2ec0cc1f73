#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "command.h"
#include "stamp/core/error.h"
#include "stamp/pipelines/calibrate.h"
#include "stamp/pipelines/evaluate.h"
#include "stamp/pipelines/generate.h"
#include "stamp/text/utf8.h"

namespace stamp::cli {
namespace {

struct Flags {
  std::filesystem::path model, prompt_file, calibration;
  std::string prompt, recipe = "bf16";
  GenerateOptions options;
  Compute compute = Compute::kF32;
  bool greedy = false, json = false;
};

// Sampling as generation_config.json asks for, unless flags say otherwise.
void take_defaults(const CLI::App& app, const GenerationConfig& config, Flags& flags) {
  SamplingOptions& s = flags.options.sampling;
  const auto given = [&](const char* flag) { return app.count(flag) > 0; };
  if (!given("--temperature")) s.temperature = config.do_sample ? config.temperature : 0;
  if (!given("--top-k")) s.top_k = config.top_k;
  if (!given("--top-p")) s.top_p = config.top_p;
  if (!given("--repetition-penalty")) s.repetition_penalty = config.repetition_penalty;
  if (flags.greedy) s.temperature = 0;
  if (flags.options.stop_ids.empty()) flags.options.stop_ids = config.eos_token_ids;
}

Calibration recipe_calibration(const Flags& flags, const Recipe& recipe,
                               std::shared_ptr<const ModelSource> source,
                               const Tokenizer& tokenizer) {
  if (!recipe.needs_calibration()) return {};
  return calibrate(source, {recipe},
                   {.ids = calibration_ids(tokenizer, flags.model, flags.calibration, {}),
                    .bos_id = tokenizer.bos_id()})
      .at(recipe.name);
}

void run(const CLI::App& app, Flags& flags) {
  const auto source = ModelSource::open(flags.model);
  const Tokenizer tokenizer = Tokenizer::load(flags.model);
  take_defaults(app, read_generation_config(flags.model, source->config()), flags);
  if (!flags.prompt_file.empty()) flags.prompt = read_text(flags.prompt_file);
  const std::vector<int32_t> prompt = tokenizer.encode(flags.prompt);
  if (prompt.empty())
    throw_argument("generate: the prompt is empty; pass --prompt or --prompt-file");
  const Recipe recipe = load_recipe(flags.recipe);
  const Calibration calibration = recipe_calibration(flags, recipe, source, tokenizer);
  const auto model = make_model(source, {.recipe = recipe, .calibration = &calibration});
  ForwardContext context{.compute = usable_compute(flags.compute)};
  if (!recipe.is_plain())
    fmt::print(stderr, "note: recipe {} runs simulated, not in integers\n", recipe.name);

  std::string pending;
  const auto start = std::chrono::steady_clock::now();
  const auto print_token = [&](int32_t id) {
    if (flags.json || tokenizer.is_special(id)) return true;
    pending += tokenizer.token_bytes(id);
    const size_t complete = complete_utf8_prefix(pending);
    fmt::print("{}", pending.substr(0, complete));
    std::fflush(stdout);
    pending.erase(0, complete);
    return true;
  };
  const std::vector<int32_t> ids =
      generate_ids(*model, prompt, flags.options, context, print_token);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (flags.json) {
    fmt::print("{}\n", Json{{"prompt_ids", prompt},
                            {"ids", ids},
                            {"text", tokenizer.decode(ids, true)},
                            {"recipe", recipe.name},
                            {"simulated", !recipe.is_plain()},
                            {"seconds", seconds}}
                           .dump(2));
    return;
  }
  fmt::print("\n");
  fmt::print(stderr, "{} tokens in {:.1f} s, prompt of {} included: {:.1f} tokens/s\n", ids.size(),
             seconds, prompt.size(), static_cast<double>(ids.size()) / seconds);
}

}  // namespace

void add_generate(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<Flags>();
  GenerateOptions& options = flags->options;
  app.add_option("MODEL", flags->model, "Hugging Face model directory")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--prompt", flags->prompt, "text to continue");
  app.add_option("--prompt-file", flags->prompt_file, "file with the text to continue")
      ->check(CLI::ExistingFile);
  app.add_option("--max-new-tokens", options.max_new_tokens, "tokens at most")
      ->capture_default_str();
  app.add_option("--recipe", flags->recipe, "preset name or JSON file")->capture_default_str();
  app.add_option("--calibration", flags->calibration, "calibration text for recipes that need one");
  app.add_flag("--greedy", flags->greedy, "take the likeliest token (temperature 0)");
  app.add_option("--temperature", options.sampling.temperature, "0: greedy");
  app.add_option("--top-k", options.sampling.top_k, "0: off");
  app.add_option("--top-p", options.sampling.top_p, "(0, 1]");
  app.add_option("--repetition-penalty", options.sampling.repetition_penalty, "1: off");
  app.add_option("--stop-id", options.stop_ids, "token ids that end generation")->delimiter(',');
  app.add_option("--seed", options.seed, "seed of the sampler")->capture_default_str();
  add_compute(app, "--compute", flags->compute, "arithmetic: fp32 or bf16");
  app.add_flag("--json", flags->json, "print JSON at the end instead of streaming");
  app.callback([&app, flags, &exit_code] {
    run(app, *flags);
    exit_code = 0;
  });
}

}  // namespace stamp::cli
