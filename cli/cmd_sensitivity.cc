#include <memory>

#include "command.h"
#include "stamp/pipelines/sensitivity.h"

namespace stamp::cli {

void add_sensitivity(CLI::App& app, int& exit_code) {
  struct Flags {
    SensitivityOptions options;
    std::string recipe = "w4a4kv4-stamp", bos = "every";
    std::filesystem::path report, json_file;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  SensitivityOptions& options = flags->options;
  app.add_option("MODEL", options.model, "Hugging Face model directory")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--text", options.text, "text to score (default: MODEL/heldout.txt)");
  app.add_option("--recipe", flags->recipe,
                 "preset name or JSON file: how each tensor is quantized")
      ->capture_default_str();
  app.add_option("--calibration", options.calibration,
                 "calibration text, never the scored one (default: MODEL/calibration.txt)");
  app.add_option("--context", options.context, "tokens per window")->capture_default_str();
  app.add_option("--windows", options.max_windows, "at most so many windows; 0: all")
      ->capture_default_str();
  app.add_option("--bos", flags->bos, "which windows start with BOS")
      ->check(CLI::IsMember({"every", "first"}))
      ->capture_default_str();
  app.add_option("--out", flags->report, "write a heat map as self-contained HTML");
  app.add_option("--json-out", flags->json_file, "also write the JSON to a file");
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    SensitivityOptions& o = flags->options;
    if (o.text.empty()) o.text = o.model / "heldout.txt";
    o.recipe = load_recipe(flags->recipe);
    o.bos_every_window = flags->bos == "every";
    const Sensitivity sensitivity = measure_sensitivity(o);
    const Json json = to_json(sensitivity);
    if (!flags->report.empty()) write_file_atomically(flags->report, to_html(sensitivity));
    if (!flags->json_file.empty()) write_file_atomically(flags->json_file, json.dump(2) + "\n");
    print_result(flags->json, json, to_text(sensitivity));
    exit_code = 0;
  });
}

}  // namespace stamp::cli
