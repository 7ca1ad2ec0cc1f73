#include <memory>

#include "option_flags.h"
#include "stamp/pipelines/options/sensitivity.h"

namespace stamp::cli {

void add_sensitivity(CLI::App& app, int& exit_code) {
  struct Flags {
    SensitivityOptions options = default_options<SensitivityOptions>();
    std::filesystem::path report, json_file;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  add_flags(app, flags->options);
  app.get_option("MODEL")->required()->check(CLI::ExistingPath);
  app.add_option("--out", flags->report, "write a heat map as self-contained HTML");
  app.add_option("--json-out", flags->json_file, "also write the JSON to a file");
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    complete_options(flags->options);
    const Sensitivity sensitivity = measure_sensitivity(flags->options);
    const Json json = to_json(sensitivity);
    if (!flags->report.empty()) write_file_atomically(flags->report, to_html(sensitivity));
    if (!flags->json_file.empty()) write_file_atomically(flags->json_file, json.dump(2) + "\n");
    print_result(flags->json, json, to_text(sensitivity));
    exit_code = 0;
  });
}

}  // namespace stamp::cli
