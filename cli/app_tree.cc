#include "app_tree.h"

#include "stamp/quant/recipe.h"

namespace stamp::cli {
namespace {

/// The choices in CLI11's "TEXT:{a,b}".
std::vector<std::string> choices_of(const std::string& type) {
  const size_t open = type.find(":{"), close = type.find('}');
  std::vector<std::string> values;
  if (open == std::string::npos || close == std::string::npos) return values;
  for (size_t begin = open + 2; begin < close;) {
    const size_t end = std::min(type.find(',', begin), close);
    values.push_back(type.substr(begin, end - begin));
    begin = end + 1;
  }
  return values;
}

FlagText describe(const CLI::Option& option) {
  FlagText flag{.help = option.get_description(),
                .positional = option.get_positional(),
                .takes_value = option.get_items_expected_max() > 0};
  for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  if (flag.positional && flag.names.empty()) flag.names = {option.get_name(true)};
  flag.values = choices_of(option.get_type_name());
  if (option.check_lname("recipe") || option.check_lname("recipes")) flag.values = preset_names();
  return flag;
}

void add_flags(const CLI::App& app, std::vector<FlagText>& flags) {
  for (const CLI::Option* option : app.get_options()) flags.push_back(describe(*option));
  for (const CLI::App* group : app.get_subcommands(nullptr)) add_flags(*group, flags);
}

}  // namespace

std::vector<CommandText> describe_commands(const CLI::App& app) {
  std::vector<CommandText> commands;
  for (const CLI::App* sub : app.get_subcommands(nullptr)) {
    commands.push_back({sub->get_name(), sub->get_description(), {}});
    add_flags(*sub, commands.back().flags);
  }
  return commands;
}

}  // namespace stamp::cli
