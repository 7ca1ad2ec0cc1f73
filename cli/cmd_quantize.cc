#include <memory>

#include "option_flags.h"
#include "stamp/core/process.h"
#include "stamp/pipelines/options/quantize.h"

namespace stamp::cli {

void add_quantize(CLI::App& app, int& exit_code) {
  struct Flags {
    QuantizeOptions options;
    bool dry_run = false, json = false;
  };
  auto flags = std::make_shared<Flags>();
  add_flags(app, flags->options);
  app.get_option("MODEL")->required()->check(CLI::ExistingPath);
  app.get_option("--recipe")->required();
  app.get_option("--out")->required();
  app.get_option("--calibration")->check(CLI::ExistingFile);
  app.add_flag("--dry-run", flags->dry_run, "print sizes, memory and time; write nothing");
  app.add_flag("--json", flags->json, "print JSON");
  app.callback([flags, &exit_code] {
    QuantizeOptions& o = flags->options;
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
