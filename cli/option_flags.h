#pragma once
// Flags made from a list of options (core/options.h).
#include <algorithm>
#include <cctype>
#include <string>
#include <type_traits>
#include <vector>

#include "command.h"
#include "stamp/core/options.h"

namespace stamp::cli {

/// "causal_positions" becomes --causal-positions.
inline std::string flag_name(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return "--" + name;
}

/// A visitor that adds one flag per option; a number shows what it is by default.
class FlagVisitor {
 public:
  explicit FlagVisitor(CLI::App& app) : app_(app) {}

  template <class T>
  void argument(std::string name, T& member, const std::string& help) {
    for (char& c : name) c = static_cast<char>(std::toupper(c));
    app_.add_option(name, member, help);
  }
  template <class T>
  void operator()(const std::string& name, T& member, const std::string& help) {
    CLI::Option* option = app_.add_option(flag_name(name), member, help);
    if constexpr (std::is_arithmetic_v<T>) option->capture_default_str();
    if constexpr (is_list<T>) {
      option->delimiter(',');
      if (!member.empty()) option->capture_default_str();
    }
  }
  void operator()(const std::string& name, bool& member, const std::string& help) {
    app_.add_flag(flag_name(name), member, help);
  }
  void operator()(const std::string& name, Recipe& member, const std::string& help) {
    app_.add_option_function<std::string>(
            flag_name(name), [&member](const std::string& text) { member = load_recipe(text); },
            help)
        ->default_str(member.is_plain() ? "" : member.name);
  }
  template <class T>
  void operator()(const std::string& name, NamedValues<T> member, const std::string& help) {
    std::vector<std::string> names;
    for (const auto& [known, value] : member.names) names.emplace_back(known);
    app_.add_option_function<std::string>(
            flag_name(name),
            [member](const std::string& text) {
              for (const auto& [known, value] : member.names)
                if (text == known) member.value = value;
            },
            help)
        ->check(CLI::IsMember(names))
        ->default_str(member.name());
  }

 private:
  /// Lists of words or numbers are separated by commas; names of files may hold some.
  template <class T>
  static constexpr bool is_list =
      std::is_same_v<T, std::vector<std::string>> || std::is_same_v<T, std::vector<int64_t>> ||
      std::is_same_v<T, std::vector<int>>;

  CLI::App& app_;
};

/// All flags of `options`, which must outlive `app`.
template <class Options>
void add_flags(CLI::App& app, Options& options) {
  visit_options(options, FlagVisitor(app));
}

}  // namespace stamp::cli
