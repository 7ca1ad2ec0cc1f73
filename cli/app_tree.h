#pragma once
// The program's commands and flags as data, for what is written about them.
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace stamp::cli {

struct FlagText {
  std::vector<std::string> names;  // "--recipe"; a positional argument has its bare name
  std::string help;
  bool positional = false, takes_value = false;
  std::vector<std::string> values;  // the only ones, or those worth proposing
};
struct CommandText {
  std::string name, help;
  std::vector<FlagText> flags;
};

/// All commands of `app` in their order, flags of option groups included.
std::vector<CommandText> describe_commands(const CLI::App& app);

/// What completes the program's words in a shell: "bash", "zsh" or "fish". Throws
/// std::invalid_argument for others.
std::string completion_script(const std::vector<CommandText>& commands, const std::string& shell);
/// The manual page (section 1) in man(7).
std::string manual_page(const std::vector<CommandText>& commands, const std::string& help,
                        const std::string& version);

}  // namespace stamp::cli
