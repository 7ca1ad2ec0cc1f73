#include <memory>

#include "command.h"
#include "stamp/core/process.h"
#include "stamp/pipelines/quantize.h"

namespace stamp::cli {

void add_quantize(CLI::App& app, int& exit_code) {
  struct Flags {
    QuantizeOptions options;
    std::string recipe;
    bool dry_run = false, json = false;
  };
  auto flags = std::make_shared<Flags>();
  QuantizeOptions& options = flags->options;
  app.add_option("MODEL", options.model, "Hugging Face model directory")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--recipe", flags->recipe, "preset name or JSON file (see 'stamp recipe')")
      ->required();
  app.add_option("--out", options.out, "directory to write; grows as OUT.partial")->required();
  app.add_option("--calibration", options.calibration,
                 "text for recipes that need one (default: MODEL/calibration.txt)")
      ->check(CLI::ExistingFile);
  app.add_flag("--dry-run", flags->dry_run, "print sizes, memory and time; write nothing");
  app.add_flag("--force", options.force, "replace the directory when it exists");
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    QuantizeOptions& o = flags->options;
    o.recipe = load_recipe(flags->recipe);
    o.command = command_line();
    if (flags->dry_run) {
      const QuantizeEstimate estimate = estimate_quantize(o);
      print_result(flags->json, to_json(estimate), to_text(estimate, o));
    } else {
      const QuantizeResult result = quantize(o);
      print_result(flags->json, to_json(result), to_text(result, o));
    }
    exit_code = 0;
  });
}

}  // namespace stamp::cli
