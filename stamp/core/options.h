#pragma once
// Options of the pipelines are listed once, by a function
//   visit_options(Options& options, Visitor& visit)
// that calls visit.argument(name, member, help) for what comes first and has no default, and
// visit(name, member, help) for the rest. Command line and Python module are made of these lists:
// "causal_positions" is the flag --causal-positions and the keyword causal_positions.
#include <type_traits>
#include <utility>
#include <vector>

namespace stamp {

/// A member whose values have names outside.
template <class T>
struct NamedValues {
  T& value;
  std::vector<std::pair<const char*, T>> names;

  /// The name of the present value.
  const char* name() const {
    for (const auto& [name, named] : names)
      if (named == value) return name;
    return "";
  }
};
template <class T>
NamedValues<T> named_values(T& value,
                            std::vector<std::pair<const char*, std::type_identity_t<T>>> names) {
  return {value, std::move(names)};
}

/// What a caller starts from; specialised where that is not how the struct is declared.
template <class Options>
Options default_options() {
  return {};
}

}  // namespace stamp
