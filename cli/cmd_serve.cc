#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "command.h"
#include "option_flags.h"
#include "stamp/core/progress.h"
#include "stamp/pipelines/options/serve.h"
#include "stamp/server/server.h"

namespace stamp::cli {
namespace {

int run(ServeOptions& options) {
  complete_options(options);
  options.model.compute = usable_compute(options.model.compute);
  Server server(options);
  fmt::print("{}", server.description());
  std::fflush(stdout);
  while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  fmt::print(stderr, "finishing what is running; a second signal ends at once\n");
  if (server.drain(options.drain_timeout)) return 0;
  fmt::print(stderr, "answers were cut short after {} s\n", options.drain_timeout);
  return 1;
}

}  // namespace

void add_serve(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ServeOptions>(default_options<ServeOptions>());
  add_flags(app, *options);
  app.get_option("MODEL")->required()->check(CLI::ExistingDirectory);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace stamp::cli
