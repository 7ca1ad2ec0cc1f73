#include <memory>

#include "command.h"
#include "stamp/pipelines/bench.h"

namespace stamp::cli {

void add_bench(CLI::App& app, int& exit_code) {
  struct Flags {
    BenchOptions options;
    std::string recipe = "bf16";
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  BenchOptions& options = flags->options;
  app.add_option("MODEL", options.model, "Hugging Face model directory")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--prefill", options.prefill, "tokens of one pass")->capture_default_str();
  app.add_option("--runs", options.runs, "timed passes")->capture_default_str();
  app.add_option("--recipe", flags->recipe, "preset name or JSON file")->capture_default_str();
  add_compute(app, "--compute", options.compute, "arithmetic: fp32 or bf16");
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    BenchOptions& o = flags->options;
    o.recipe = load_recipe(flags->recipe);
    o.compute = usable_compute(o.compute);
    const BenchResult result = bench(o);
    print_result(flags->json, to_json(result, o), to_text(result, o));
    exit_code = 0;
  });
}

}  // namespace stamp::cli
