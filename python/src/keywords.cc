#include "keywords.h"

#include <fmt/ranges.h>

#include <deque>

#include "stamp/core/cpu_features.h"

namespace stamp::python {

Recipe to_recipe(nb::handle value) {
  if (nb::isinstance<nb::dict>(value)) {
    const auto text = nb::module_::import_("json").attr("dumps")(value);
    return recipe_from_json(parse_json(nb::cast<std::string>(text), "recipe"));
  }
  std::filesystem::path path;
  if (!nb::try_cast<std::filesystem::path>(value, path))
    throw nb::type_error("recipe: expected a preset's name, a path or a dictionary");
  return load_recipe(path.string());
}

nb::object to_python(const Json& json) {
  return nb::module_::import_("json").attr("loads")(json.dump());
}

void make_usable(Compute& compute) {
  if (compute != Compute::kBF16 || has_fast_bf16()) return;
  compute = Compute::kF32;
  if (PyErr_WarnEx(PyExc_RuntimeWarning,
                   "bf16 products are not faster than fp32 here; computing in fp32", 1) != 0)
    throw nb::python_error();
}

void KeywordVisitor::finish() const {
  for (const auto& [key, value] : keywords_) {
    const auto name = nb::cast<std::string>(key);
    if (std::find(known_.begin(), known_.end(), name) == known_.end())
      throw nb::type_error(fmt::format("{}: unknown option '{}', expected one of {}", function_,
                                       name, fmt::join(known_, ", "))
                               .c_str());
  }
}

void KeywordVisitor::fail(const char* name, nb::handle value) const {
  const auto shown = nb::cast<std::string>(nb::repr(value)).substr(0, 80);
  throw nb::type_error(
      fmt::format("{}: {}: a value of another type is expected, got {}", function_, name, shown)
          .c_str());
}

void KeywordVisitor::set(const char*, const nb::object& value, std::vector<Recipe>& member) {
  member.clear();
  if (nb::isinstance<nb::str>(value) || !nb::isinstance<nb::sequence>(value)) {
    member.push_back(to_recipe(value));
    return;
  }
  for (const nb::handle item : nb::cast<nb::sequence>(value)) member.push_back(to_recipe(item));
}

std::string SignatureVisitor::signature(const std::string& name, const std::string& result,
                                        Self self) const {
  std::string arguments = self == Self::kNone ? "" : "self, ";
  if (self != Self::kInsteadOfArgument) arguments += argument_;
  if (!keywords_.empty()) arguments += "*" + keywords_;
  if (arguments.ends_with(", ")) arguments.resize(arguments.size() - 2);
  return "def " + name + "(" + arguments + ") -> " + result;
}

void SignatureVisitor::document(const char* name, const std::string& help) {
  documentation_ += "    " + std::string(name) + ": " + help + "\n";
}

std::string SignatureVisitor::default_of(double value) { return fmt::format("{}", value); }

const char* keep(std::string text) {
  static std::deque<std::string> texts;
  return texts.emplace_back(std::move(text)).c_str();
}

}  // namespace stamp::python
