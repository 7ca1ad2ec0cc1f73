#include <fmt/format.h>

#include <chrono>

#include "option_flags.h"
#include "stamp/core/communicator.h"
#include "stamp/core/error.h"
#include "stamp/pipelines/options/generate.h"
#include "stamp/pipelines/token_json.h"
#include "stamp/text/stream_decoder.h"
#include "text_model.h"

namespace stamp::cli {
namespace {

struct Flags {
  TextModelFlags text;
  std::filesystem::path prompt_file;
  std::string prompt;
  PromptCacheOptions cache;
  bool json = false;
};

/// None when the prompt is that of the cache.
std::vector<int32_t> prompt_ids(const Tokenizer& tokenizer, const Flags& flags) {
  if (flags.prompt.empty() && !flags.cache.load_cache.empty()) return {};
  const std::vector<int32_t> ids = tokenizer.encode(flags.prompt);
  if (ids.empty()) throw_argument("generate: the prompt is empty; pass --prompt or --prompt-file");
  return ids;
}

void run(const CLI::App& app, Flags& flags) {
  TextModel text = open_text_model(app, flags.text);
  if (!flags.prompt_file.empty()) flags.prompt = read_text(flags.prompt_file);
  const std::vector<int32_t> prompt = prompt_ids(text.tokenizer, flags);

  const GenerateOptions& options = flags.text.generate;
  StreamDecoder decoder(text.tokenizer);
  const auto start = std::chrono::steady_clock::now();
  Json probabilities = Json::array();
  const auto print_token = [&](const GeneratedToken& token) {
    if (options.top_logprobs >= 0) probabilities.push_back(to_json(token, text.tokenizer));
    if (flags.json || !is_first_process()) return true;
    fmt::print("{}", decoder.push(token.id));
    std::fflush(stdout);
    return true;
  };
  OpenedPrompt opened =
      open_prompt(text, prompt, options.max_new_tokens, flags.cache, text.context);
  const std::vector<int32_t> held = opened.session.ids();
  Rng rng(options.seed);
  const std::vector<int32_t> ids = opened.session.generate(options, rng, text.context, print_token);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!is_first_process()) return;
  if (flags.json) {
    Json json = {{"prompt_ids", held},
                 {"reused", opened.reused},
                 {"ids", ids},
                 {"text", text.tokenizer.decode(ids, true)},
                 {"recipe", text.recipe.name},
                 {"simulated", text.model->simulated()},
                 {"seconds", seconds}};
    if (options.top_logprobs >= 0) json["logprobs"] = std::move(probabilities);
    fmt::print("{}\n", json.dump(2));
    return;
  }
  fmt::print("\n");
  if (!flags.cache.load_cache.empty())
    fmt::print(stderr, "{} of {} prompt tokens from {}\n", opened.reused, held.size(),
               flags.cache.load_cache.string());
  fmt::print(stderr, "{} tokens in {:.1f} s, prompt of {} included: {:.1f} tokens/s\n", ids.size(),
             seconds, held.size(), static_cast<double>(ids.size()) / seconds);
}

}  // namespace

void add_generate(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<Flags>();
  add_text_model(app, flags->text);
  app.add_option("--prompt", flags->prompt, "text to continue");
  app.add_option("--prompt-file", flags->prompt_file, "file with the text to continue")
      ->check(CLI::ExistingFile);
  add_flags(app, flags->cache);
  app.add_option("--logprobs", flags->text.generate.top_logprobs,
                 "with --json: log-probabilities of the tokens, and of so many likeliest ones")
      ->check(CLI::Range(0, 1 << 20));
  app.add_flag("--json", flags->json, "print JSON at the end instead of streaming");
  app.callback([&app, flags, &exit_code] {
    run(app, *flags);
    exit_code = 0;
  });
}

}  // namespace stamp::cli
