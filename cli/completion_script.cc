#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app_tree.h"
#include "stamp/core/error.h"

namespace stamp::cli {
namespace {

/// 'text' for a shell in which a quote ends the string.
std::string in_quotes(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

/// Text with every character of `special` behind a backslash.
std::string escaped(const std::string& text, const std::string& special) {
  std::string result;
  for (const char c : text) {
    if (special.find(c) != std::string::npos) result += '\\';
    result += c;
  }
  return result;
}

std::vector<std::string> names_of(const CommandText& command) {
  std::vector<std::string> names;
  for (const FlagText& flag : command.flags)
    if (!flag.positional) names.insert(names.end(), flag.names.begin(), flag.names.end());
  return names;
}

std::string bash(const std::vector<CommandText>& commands) {
  std::string flags, values, names;
  for (const CommandText& command : commands) {
    names += " " + command.name;
    flags += fmt::format("    {}) flags={} ;;\n", command.name,
                         in_quotes(fmt::format("{}", fmt::join(names_of(command), " "))));
    for (const FlagText& flag : command.flags)
      for (const std::string& name : flag.names)
        if (!flag.values.empty() && !flag.positional)
          values += fmt::format("    {}{}) values={} ;;\n", command.name, name,
                                in_quotes(fmt::format("{}", fmt::join(flag.values, " "))));
  }
  return fmt::format(
      R"(# Completion of stamp for bash: source it, or put it into /usr/share/bash-completion/completions/stamp.
_stamp() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} command=${{COMP_WORDS[1]}}
  local flags= values=
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '{} --help --version' -- "$current"))
    return
  fi
  case $command in
{}  esac
  case $command$previous in
{}  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $values ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
  fi
}}
complete -o default -F _stamp stamp
)",
      names.substr(1), flags, values);
}

std::string zsh(const std::vector<CommandText>& commands) {
  std::string names, cases;
  for (const CommandText& command : commands) {
    names += "    " + in_quotes(command.name + ":" + escaped(command.help, ":\\")) + "\n";
    cases += fmt::format("  {})\n    _arguments \\\n", command.name);
    for (const FlagText& flag : command.flags) {
      if (flag.positional) continue;
      for (const std::string& name : flag.names) {
        std::string spec = name + "[" + escaped(flag.help, "[]:\\") + "]";
        if (flag.takes_value)
          spec += flag.values.empty() ? ":value:_files"
                                      : fmt::format(":value:({})", fmt::join(flag.values, " "));
        cases += "      " + in_quotes(spec) + " \\\n";
      }
    }
    cases += "      '*:file:_files' ;;\n";
  }
  return fmt::format(
      R"(#compdef stamp
# Completion of stamp for zsh: put it as _stamp into a folder of $fpath.
_stamp() {{
  local -a commands=(
{}  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
{}  esac
}}
_stamp "$@"
)",
      names, cases);
}

std::string fish(const std::vector<CommandText>& commands) {
  std::string text =
      "# Completion of stamp for fish: put it into ~/.config/fish/completions/stamp.fish.\n";
  const auto quoted_fish = [](const std::string& value) {
    return "'" + escaped(value, "'\\") + "'";
  };
  for (const CommandText& command : commands) {
    text += fmt::format("complete -c stamp -n __fish_use_subcommand -f -a {} -d {}\n", command.name,
                        quoted_fish(command.help));
    for (const FlagText& flag : command.flags) {
      if (flag.positional) continue;
      for (const std::string& name : flag.names) {
        const bool is_long = name.starts_with("--");
        text += fmt::format("complete -c stamp -n '__fish_seen_subcommand_from {}' -{} {} -d {}",
                            command.name, is_long ? "l" : "s", name.substr(is_long ? 2 : 1),
                            quoted_fish(flag.help));
        if (flag.takes_value) text += " -r";
        if (!flag.values.empty())
          text += " -a " + quoted_fish(fmt::format("{}", fmt::join(flag.values, " ")));
        text += "\n";
      }
    }
  }
  return text;
}

}  // namespace

std::string completion_script(const std::vector<CommandText>& commands, const std::string& shell) {
  if (shell == "bash") return bash(commands);
  if (shell == "zsh") return zsh(commands);
  if (shell == "fish") return fish(commands);
  throw_argument("completion: expected bash, zsh or fish, got '{}'", shell);
}

}  // namespace stamp::cli
