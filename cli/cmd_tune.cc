#include <memory>

#include "command.h"
#include "stamp/pipelines/tune.h"

namespace stamp::cli {
namespace {

struct Flags {
  TuneOptions options;
  std::string recipe = "w4a4kv4-stamp-wf", bos = "every";
  bool json = false;
};

void run(Flags& flags) {
  TuneOptions& o = flags.options;
  o.start = load_recipe(flags.recipe);
  o.bos_every_window = flags.bos == "every";
  std::error_code ignored;
  if (o.text.empty() && std::filesystem::exists(o.model / "heldout.txt", ignored))
    o.text = o.model / "heldout.txt";
  const Tuning tuning = tune(o);
  const Json json = to_json(tuning);
  std::filesystem::path evidence = o.out;
  evidence.replace_extension(".evidence.json");
  write_file_atomically(evidence, json.dump(2) + "\n");
  print_result(flags.json, json, to_text(tuning));
}

}  // namespace

void add_tune(CLI::App& app, int& exit_code) {
  auto flags = std::make_shared<Flags>();
  TuneOptions& options = flags->options;
  options.out = "tuned.json";
  app.add_option("MODEL", options.model, "Hugging Face model directory")
      ->required()
      ->check(CLI::ExistingDirectory);
  auto* bits = app.add_option("--average-bits", options.average_bits,
                              "data bits per element of the linear inputs")
                   ->check(CLI::Range(2.0, 8.0))
                   ->capture_default_str();
  app.add_option("--max-kl", options.max_kl, "the fewest bits with at most this KL instead")
      ->check(CLI::PositiveNumber)
      ->excludes(bits);
  app.add_option("--recipe", flags->recipe,
                 "preset or JSON file: what is not searched (weights, widths of K and V, lm_head)")
      ->capture_default_str();
  app.add_option("--feature", options.features, "feature transforms to try")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--sequence", options.transforms, "sequence transforms to try")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--calibration", options.calibration,
                 "text searched on (default: MODEL/calibration.txt)");
  app.add_option("--text", options.text,
                 "held-out text, never searched on (default: MODEL/heldout.txt, if there is one)")
      ->check(CLI::ExistingFile);
  app.add_option("--rivals", options.rivals,
                 "recipes measured beside the result (default: presets of the same weights and as "
                 "narrow activations)")
      ->delimiter(',');
  app.add_option("--context", options.context, "tokens per window")->capture_default_str();
  app.add_option("--windows", options.search_windows, "windows searched on")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--held-out-windows", options.evidence_windows, "of --text; 0: all")
      ->capture_default_str();
  app.add_option("--bos", flags->bos, "which windows start with BOS")
      ->check(CLI::IsMember({"every", "first"}))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "ends the search after so long; 0: when done")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--seed", options.seed, "order in which changes are tried")->capture_default_str();
  app.add_option("--out", options.out, "the best recipe so far; its evidence beside it")
      ->capture_default_str();
  app.add_option("--state", options.state, "finished evaluations: to go on after an interruption");
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    run(*flags);
    exit_code = 0;
  });
}

}  // namespace stamp::cli
