#pragma once
// Commands of the program: each adds its flags to a subcommand and runs in its callback.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <string_view>

#include "stamp/core/communicator.h"
#include "stamp/io/json.h"
#include "stamp/nn/linear.h"

namespace stamp::cli {

/// Adds flags and callback to `app`; the callback sets `exit_code` (0 ok, 1 failed, 3 something
/// unsupported).
void add_bench(CLI::App& app, int& exit_code);
void add_chat(CLI::App& app, int& exit_code);
void add_compare(CLI::App& app, int& exit_code);
void add_completion(CLI::App& app, int& exit_code);
void add_doctor(CLI::App& app, int& exit_code);
void add_eval(CLI::App& app, int& exit_code);
void add_generate(CLI::App& app, int& exit_code);
void add_image(CLI::App& app, int& exit_code);
void add_info(CLI::App& app, int& exit_code);
void add_quantize(CLI::App& app, int& exit_code);
void add_recipe(CLI::App& app, int& exit_code);
void add_sensitivity(CLI::App& app, int& exit_code);
void add_serve(CLI::App& app, int& exit_code);
void add_tune(CLI::App& app, int& exit_code);
void add_verify(CLI::App& app, int& exit_code);

/// --threads, shared by all commands.
void add_threads(CLI::App& app);
/// --compute fp32|bf16 into `compute`.
void add_compute(CLI::App& app, const std::string& flag, Compute& compute, const std::string& help);
/// --execution integer|simulated into `execution`.
void add_execution(CLI::App& app, Execution& execution);
/// Where bf16 products are not native the program computes in fp32: says so on standard error.
Compute usable_compute(Compute wanted);
/// Prints `json` when `as_json`, else `text`.
void print_result(bool as_json, const Json& json, std::string_view text);

/// Where a command that draws a report leaves its result.
struct ResultFlags {
  std::filesystem::path report, json_file;
  bool json = false;
};
/// --out, described by `report_help`, --json-out and --json.
void add_result_flags(CLI::App& app, ResultFlags& flags, const std::string& report_help);
/// Writes the files that were asked for, then prints. Of several processes the first one does.
template <class Result>
void publish_result(const ResultFlags& flags, const Result& result) {
  if (!is_first_process()) return;
  const Json json = to_json(result);
  if (!flags.report.empty()) write_file_atomically(flags.report, to_html(result));
  if (!flags.json_file.empty()) write_file_atomically(flags.json_file, json.dump(2) + "\n");
  print_result(flags.json, json, to_text(result));
}

}  // namespace stamp::cli
