// The command line: a table of commands, one way to report errors.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <string_view>
#include <thread>

#include "command.h"
#include "stamp/core/error.h"
#include "stamp/core/memory_reserve.h"
#include "stamp/core/progress.h"
#include "stamp/core/version.h"
#include "stamp/io/file_descriptor.h"

namespace {

struct Command {
  const char* name;
  const char* help;
  void (*add)(CLI::App&, int&);
  bool shares_work = false;  // among the processes that mpirun starts
};

constexpr std::array kCommands = {
    Command{"compare", "measure a grid of recipes at equal bits: table, JSON, HTML report",
            stamp::cli::add_compare, true},
    Command{"eval", "perplexity, KL divergence and SQNR of one recipe on a text",
            stamp::cli::add_eval, true},
    Command{"generate", "continue a prompt", stamp::cli::add_generate, true},
    Command{"chat", "converse with a model that has a chat template", stamp::cli::add_chat},
    Command{"serve", "answer requests over HTTP, as OpenAI's API does", stamp::cli::add_serve},
    Command{"image", "draw pictures for prompts with a diffusion transformer",
            stamp::cli::add_image},
    Command{"quantize", "store a model's weights in the codes of a recipe",
            stamp::cli::add_quantize, true},
    Command{"bench", "time the prefill and the decoding of a model", stamp::cli::add_bench, true},
    Command{"sensitivity", "what quantizing each tensor alone does to a model",
            stamp::cli::add_sensitivity, true},
    Command{"tune", "search for the recipe that loses least at a given width",
            stamp::cli::add_tune},
    Command{"info", "what a model directory holds", stamp::cli::add_info},
    Command{"doctor", "what this machine offers, measured, and what stands in the way",
            stamp::cli::add_doctor},
    Command{"verify", "check this build against a folder of reference outputs",
            stamp::cli::add_verify},
    Command{"recipe", "list the named recipes, or print one as JSON", stamp::cli::add_recipe},
    Command{"completion", "a shell's completion script, or the manual page",
            stamp::cli::add_completion}};

constexpr int kFailed = 1, kUsage = 2;

const Command* find_command(std::string_view word) {
  const auto found = std::find_if(kCommands.begin(), kCommands.end(),
                                  [&](const Command& command) { return command.name == word; });
  return found == kCommands.end() ? nullptr : &*found;
}

void join_job(const Command& command) {
  if (stamp::launched_processes() == 1) return;
  if (!command.shares_work)
    stamp::throw_argument("{}: runs as one process; mpirun started {}", command.name,
                          stamp::launched_processes());
  stamp::join_processes();
}

/// Others wait for a process that fails, so that it ends the job. Mostly all fail alike: then the
/// first one speaks.
int report(int exit_code, const char* message) {
  stamp::Communicator& processes = stamp::communicator();
  if (processes.rank() > 0) std::this_thread::sleep_for(std::chrono::seconds(2));
  fmt::print(stderr, "stamp: {}\n", message);
  std::fflush(stderr);
  if (processes.size() > 1) processes.abort(exit_code);
  return exit_code;
}

/// What is left in the buffers must get out as well: the disk behind standard output may be full.
int after_output(int exit_code) {
  std::cout.flush();
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
  if (written || exit_code != 0) return exit_code;
  fmt::print(stderr, "stamp: standard output: cannot write, {}\n", stamp::errno_text());
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  stamp::keep_memory_reserve();
  CLI::App app{"stamp: sequence transformation and mixed precision for low-bit inference on CPUs"};
  app.set_version_flag("--version", stamp::version() + " (" + stamp::build_commit() + ")");
  app.require_subcommand(1);
  int exit_code = 0;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.help);
    command.add(*sub, exit_code);
    stamp::cli::add_threads(*sub);
  }
  const Command* const command = argc > 1 ? find_command(argv[1]) : nullptr;
  if (argc > 1 && argv[1][0] != '-' && command == nullptr) {
    fmt::print(stderr, "stamp: unknown command '{}'; 'stamp --help' lists them\n", argv[1]);
    return kUsage;
  }
  stamp::catch_interrupts();
  try {
    if (command != nullptr) join_job(*command);
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return after_output(app.exit(error) == 0 ? 0 : kUsage);
  } catch (const std::bad_alloc&) {
    return report(kFailed,
                  "not enough memory; fewer tokens, windows or threads need less, and 'ulimit -v' "
                  "says whether there is a limit");
  } catch (const std::invalid_argument& error) {
    return report(kUsage, error.what());
  } catch (const std::exception& error) {
    return report(kFailed, error.what());
  }
  return after_output(exit_code);
}
