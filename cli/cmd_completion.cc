#include <fmt/format.h>

#include <memory>

#include "app_tree.h"
#include "command.h"
#include "stamp/core/version.h"

namespace stamp::cli {

void add_completion(CLI::App& app, int& exit_code) {
  auto wanted = std::make_shared<std::string>();
  app.add_option("FORMAT", *wanted, "bash, zsh and fish: a completion script; man: a manual page")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish", "man"}));
  app.callback([&app, wanted, &exit_code] {
    const CLI::App& program = *app.get_parent();
    const std::vector<CommandText> commands = describe_commands(program);
    fmt::print("{}", *wanted == "man" ? manual_page(commands, program.get_description(), version())
                                      : completion_script(commands, *wanted));
    exit_code = 0;
  });
}

}  // namespace stamp::cli
