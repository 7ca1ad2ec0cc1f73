#include "text_model.h"

#include <fmt/format.h>

#include "option_flags.h"
#include "stamp/pipelines/options/generate.h"

namespace stamp::cli {

void add_text_model(CLI::App& app, TextModelFlags& flags) {
  flags.model = default_options<TextModelOptions>();
  add_flags(app, flags.model);
  app.get_option("MODEL")->required()->check(CLI::ExistingPath);
  add_flags(app, flags.generate);
  for (const char* flag : {"--temperature", "--top-k", "--top-p", "--repetition-penalty"})
    app.get_option(flag)->default_str("");  // that of the model
  app.add_flag("--greedy", flags.greedy, "take the likeliest token (temperature 0)");
}

TextModel open_text_model(const CLI::App& app, TextModelFlags& flags) {
  complete_options(flags.model);
  flags.model.compute = usable_compute(flags.model.compute);
  TextModel text = stamp::open_text_model(flags.model);
  const GenerateOptions defaults = generate_defaults(text);
  SamplingOptions& s = flags.generate.sampling;
  const auto given = [&](const char* flag) { return app.count(flag) > 0; };
  if (!given("--temperature")) s.temperature = defaults.sampling.temperature;
  if (!given("--top-k")) s.top_k = defaults.sampling.top_k;
  if (!given("--top-p")) s.top_p = defaults.sampling.top_p;
  if (!given("--repetition-penalty")) s.repetition_penalty = defaults.sampling.repetition_penalty;
  if (!given("--stop-id")) flags.generate.stop_ids = defaults.stop_ids;
  if (flags.greedy) s.temperature = 0;
  if (text.model->simulated())
    fmt::print(stderr, "note: recipe {} runs simulated, not in integers\n", text.recipe.name);
  return text;
}

}  // namespace stamp::cli
