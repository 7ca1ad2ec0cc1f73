#include "command.h"

#include <fmt/format.h>

#include "stamp/core/cpu_features.h"
#include "stamp/core/parallel.h"

namespace stamp::cli {

void add_threads(CLI::App& app) {
  app.add_option_function<int>("--threads", set_threads, "threads; 0: one per core")
      ->default_val(0)
      ->check(CLI::Range(0, 1024));
}

void add_compute(CLI::App& app, const std::string& flag, Compute& compute,
                 const std::string& help) {
  app.add_option_function<std::string>(
         flag,
         [&compute](const std::string& name) {
           compute = name == "bf16" ? Compute::kBF16 : Compute::kF32;
         },
         help)
      ->check(CLI::IsMember({"fp32", "bf16"}));
}

void add_execution(CLI::App& app, Execution& execution) {
  app.add_option_function<std::string>(
         "--execution",
         [&execution](const std::string& name) {
           execution = name == "simulated" ? Execution::kSimulated : Execution::kInteger;
         },
         "quantized products on integers where the recipe allows, or simulated in fp32")
      ->check(CLI::IsMember({"integer", "simulated"}));
}

Compute usable_compute(Compute wanted) {
  if (wanted == Compute::kBF16 && !has_fast_bf16()) {
    fmt::print(stderr,
               "note: bf16 products are not faster than fp32 here ({}); computing in fp32\n",
               isa_name(active_isa()));
    return Compute::kF32;
  }
  return wanted;
}

void add_result_flags(CLI::App& app, ResultFlags& flags, const std::string& report_help) {
  app.add_option("--out", flags.report, report_help);
  app.add_option("--json-out", flags.json_file, "also write the JSON to a file");
  app.add_flag("--json", flags.json, "print JSON");
}

void print_result(bool as_json, const Json& json, std::string_view text) {
  if (!is_first_process()) return;
  if (as_json)
    fmt::print("{}\n", json.dump(2));
  else
    fmt::print("{}", text);
}

}  // namespace stamp::cli
