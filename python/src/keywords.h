#pragma once
// Keyword arguments, signatures and documentation made from a list of options (core/options.h).
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <string>
#include <type_traits>
#include <vector>

#include "module.h"
#include "stamp/core/options.h"
#include "stamp/nn/linear.h"
#include "stamp/quant/recipe.h"

namespace stamp::python {

/// A preset's name, the path of a file, or a dictionary such as json.load() of one gives. Throws
/// std::invalid_argument as load_recipe() and recipe_from_json(), nb::type_error for other types.
Recipe to_recipe(nb::handle value);
/// json.loads(json.dump()).
nb::object to_python(const Json& json);
/// Where bf16 products are not native: fp32, with a RuntimeWarning.
void make_usable(Compute& compute);

/// Values that are written "a" for ["a"].
template <class T>
struct ListItem {
  using Type = void;
};
template <class T>
struct ListItem<std::vector<T>> {
  using Type = T;
};

/// Sets the members whose names are among the keywords; None leaves a member as it is.
class KeywordVisitor {
 public:
  KeywordVisitor(std::string function, const nb::dict& keywords)
      : function_(std::move(function)), keywords_(keywords) {}

  template <class T>
  void argument(const char* name, T&& member, const std::string& help) {
    (*this)(name, member, help);
  }
  template <class T>
  void operator()(const char* name, T&& member, const std::string&) {
    known_.emplace_back(name);
    if (!keywords_.contains(name)) return;
    const nb::object value = keywords_[name];
    if (!value.is_none()) set(name, value, member);
  }
  /// Raises TypeError for keywords that no option has.
  void finish() const;

 private:
  [[noreturn]] void fail(const char* name, nb::handle value) const;

  template <class T>
  void set(const char* name, const nb::object& value, T& member) {
    using Item = typename ListItem<T>::Type;
    if constexpr (!std::is_void_v<Item>) {
      Item one{};
      if (nb::try_cast<Item>(value, one)) {
        member = {one};
        return;
      }
    }
    if (!nb::try_cast<T>(value, member)) fail(name, value);
  }
  void set(const char*, const nb::object& value, nb::object& member) { member = value; }
  void set(const char*, const nb::object& value, Recipe& member) { member = to_recipe(value); }
  void set(const char*, const nb::object& value, std::vector<Recipe>& member);
  template <class T>
  void set(const char* name, const nb::object& value, NamedValues<T>& member) {
    std::string wanted;
    if (!nb::try_cast<std::string>(value, wanted)) fail(name, value);
    std::string names;
    for (const auto& [known, named] : member.names) {
      names += (names.empty() ? "" : ", ") + std::string(known);
      if (wanted != known) continue;
      member.value = named;
      if constexpr (std::is_same_v<T, Compute>) make_usable(member.value);
      return;
    }
    throw std::invalid_argument(function_ + ": " + name + ": expected one of " + names + ", got '" +
                                wanted + "'");
  }

  std::string function_;
  const nb::dict& keywords_;
  std::vector<std::string> known_;
};

enum class Self { kNone, kFirst, kInsteadOfArgument };

/// Collects what help() and the type stubs show.
class SignatureVisitor {
 public:
  template <class T>
  void argument(const char* name, T&&, const std::string& help) {
    using Type = std::remove_cvref_t<T>;
    first_ = name;
    argument_ = std::string(name) + ": " + type_name(static_cast<const Type*>(nullptr)) + ", ";
    document(name, help);
  }
  template <class T>
  void operator()(const char* name, T&& member, const std::string& help) {
    keywords_ += std::string(", ") + name + ": " + type_of(member) + " = " + default_of(member);
    document(name, help);
  }
  /// "def NAME(FIRST, *, ...) -> RESULT"; of a class with `self`, where it may stand for FIRST.
  std::string signature(const std::string& name, const std::string& result, Self self) const;
  std::string documentation() const { return documentation_; }
  const std::string& first() const { return first_; }

 private:
  void document(const char* name, const std::string& help);
  static std::string type_name(const nb::object*) { return "str | collections.abc.Sequence[int]"; }
  static std::string type_name(const nb::callable*) {
    return "collections.abc.Callable[..., object]";
  }
  static std::string type_name(const std::string*) { return "str"; }
  static std::string type_name(const bool*) { return "bool"; }
  static std::string type_name(const double*) { return "float"; }
  static std::string type_name(const Recipe*) { return "str | os.PathLike | dict"; }
  static std::string type_name(const std::filesystem::path*) { return "str | os.PathLike"; }
  template <class T>
  requires std::is_integral_v<T>
  static std::string type_name(const T*) { return "int"; }
  template <class T>
  static std::string type_name(const std::vector<T>*) {
    return "collections.abc.Sequence[" + type_name(static_cast<const T*>(nullptr)) + "]";
  }
  template <class T>
  static std::string type_of(const T& member) {
    const std::string type = type_name(&member);
    return default_of(member) == "None" ? type + " | None" : type;
  }
  template <class T>
  static std::string type_of(const NamedValues<T>& member) {
    std::string names;
    for (const auto& [name, value] : member.names)
      names += (names.empty() ? "'" : ", '") + std::string(name) + "'";
    return "typing.Literal[" + names + "]";
  }
  static std::string default_of(const std::string& value) { return "'" + value + "'"; }
  static std::string default_of(bool value) { return value ? "True" : "False"; }
  static std::string default_of(double value);
  template <class T>
  requires std::is_integral_v<T>
  static std::string default_of(T value) { return std::to_string(value); }
  static std::string default_of(const Recipe& value) {
    return value.name.empty() || value.is_plain() ? "None" : default_of(value.name);
  }
  static std::string default_of(const nb::callable&) { return "None"; }
  static std::string default_of(const std::filesystem::path& value) {
    return value.empty() ? "None" : default_of(value.string());
  }
  template <class T>
  static std::string default_of(const std::vector<T>& value) {
    std::string items;
    for (const T& item : value) items += (items.empty() ? "" : ", ") + default_of(item);
    return "[" + items + "]";
  }
  template <class T>
  static std::string default_of(const NamedValues<T>& value) {
    return default_of(std::string(value.name()));
  }

  std::string first_, argument_, keywords_, documentation_;
};

/// Options of type `Options` from positional and keyword arguments of `function`; `start` is what
/// they are without any.
template <class Options>
Options read_options(const std::string& function, const nb::args& args, const nb::kwargs& kwargs,
                     Options options = default_options<Options>()) {
  SignatureVisitor signature;
  visit_options(options, signature);
  nb::dict keywords;
  for (const auto& [key, value] : kwargs) keywords[key] = value;
  if (args.size() > 1 || (args.size() == 1 && signature.first().empty()))
    throw nb::type_error((function + "() takes keyword arguments only").c_str());
  if (args.size() == 1) keywords[signature.first().c_str()] = args[0];
  KeywordVisitor visitor(function, keywords);
  visit_options(options, visitor);
  visitor.finish();
  if constexpr (requires { complete_options(options); }) complete_options(options);
  return options;
}

/// Keeps text for the life of the process, as signatures must be.
const char* keep(std::string text);

/// Signature and documentation of a function over `Options`.
struct Described {
  const char *signature, *documentation;
};
template <class Options>
Described describe(const std::string& name, const std::string& documentation,
                   const std::string& result, const std::string& examples = "",
                   Self self = Self::kNone) {
  auto options = default_options<Options>();
  SignatureVisitor visitor;
  visit_options(options, visitor);
  return {keep(visitor.signature(name, result, self)),
          keep(documentation + "\n\nOptions:\n" + visitor.documentation() + examples)};
}

}  // namespace stamp::python
