#include <memory>

#include "option_flags.h"
#include "stamp/pipelines/options/tune.h"

namespace stamp::cli {
namespace {

struct Flags {
  TuneOptions options = default_options<TuneOptions>();
  bool json = false;
};

void run(Flags& flags) {
  complete_options(flags.options);
  const Tuning tuning = tune(flags.options);
  const Json json = to_json(tuning);
  std::filesystem::path evidence = flags.options.out;
  evidence.replace_extension(".evidence.json");
  write_file_atomically(evidence, json.dump(2) + "\n");
  print_result(flags.json, json, to_text(tuning));
}

}  // namespace

void add_tune(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<Flags>();
  flags->options.out = "tuned.json";
  add_flags(app, flags->options);
  app.get_option("MODEL")->required()->check(CLI::ExistingPath);
  CLI::Option* bits = app.get_option("--average-bits")->check(CLI::Range(2.0, 8.0));
  app.get_option("--max-kl")->check(CLI::PositiveNumber)->excludes(bits);
  app.get_option("--text")->check(CLI::ExistingFile);
  app.get_option("--windows")->check(CLI::PositiveNumber);
  app.get_option("--seconds")->check(CLI::NonNegativeNumber);
  app.get_option("--out")->capture_default_str();
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    run(*flags);
    exit_code = 0;
  });
}

}  // namespace stamp::cli
