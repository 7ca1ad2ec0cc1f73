// Filters, as Jinja has them.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "stamp/text/jinja/library.h"
#include "stamp/text/jinja/value_text.h"

namespace stamp::jinja {
namespace {

const std::string& text_of(const Machine& m, std::string_view filter, const Value& value) {
  return string_argument(m, filter, value);
}

Value abs_filter(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "abs", a, {});
  if (value.is_float()) return std::abs(value.number());
  const int64_t integer = integer_argument(m, "abs", value);
  if (integer == INT64_MIN) m.fail("abs: the integer is too large");
  return std::abs(integer);
}

template <char Kind>
Value case_filter(Machine& m, const Value& value, const Arguments& a) {
  constexpr std::string_view kName = Kind == 'u'   ? "upper"
                                     : Kind == 'l' ? "lower"
                                     : Kind == 't' ? "title"
                                                   : "capitalize";
  bind(m, kName, a, {});
  return change_case(m, kName, to_text(m, value));
}

Value default_filter(Machine& m, const Value& value, const Arguments& a) {
  const auto args = bind(m, "default", a, {"default_value", "boolean"});
  const bool replaces_false = args[1] && is_true(*args[1]);
  if (!value.is_undefined() && !(replaces_false && !is_true(value))) return value;
  return args[0] ? *args[0] : Value("");
}

Value first_filter(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "first", a, {});
  const List list = elements_of(m, value);
  return list.empty() ? Value(Undefined{"first"}) : list.front();
}
Value last_filter(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "last", a, {});
  const List list = elements_of(m, value);
  return list.empty() ? Value(Undefined{"last"}) : list.back();
}

Value length_filter(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "length", a, {});
  const int64_t length = length_of(m, value);
  if (length < 0) m.fail("length: {} has none", type_name(value));
  return length;
}

template <class Number>
std::optional<Number> parsed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n\r+");
  if (begin == text.npos) return {};
  const size_t end = text.find_last_not_of(" \t\n\r") + 1;
  Number number{};
  const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, number);
  if (error != std::errc() || stop != text.data() + end) return {};
  return number;
}

Value int_filter(Machine& m, const Value& value, const Arguments& a) {
  const auto args = bind(m, "int", a, {"default"});
  if (value.is_bool() || value.is_integer()) return value.integer();
  std::optional<double> number;
  if (value.is_float()) number = value.number();
  if (value.string()) {
    if (const auto whole = parsed<int64_t>(*value.string())) return *whole;
    number = parsed<double>(*value.string());
  }
  if (number && std::abs(*number) < 9e18) return static_cast<int64_t>(*number);
  return args[0] ? *args[0] : Value(int64_t{0});
}
Value float_filter(Machine& m, const Value& value, const Arguments& a) {
  const auto args = bind(m, "float", a, {"default"});
  if (value.is_number()) return value.number();
  if (value.string())
    if (const auto number = parsed<double>(*value.string())) return *number;
  return args[0] ? *args[0] : Value(0.0);
}

Value indent_filter(Machine& m, const Value& value, const Arguments& a) {
  const auto args = bind(m, "indent", a, {"width", "first", "blank"});
  std::string margin(4, ' ');
  if (args[0] && args[0]->string())
    margin = *args[0]->string();
  else if (args[0])
    margin.assign(
        static_cast<size_t>(std::clamp<int64_t>(integer_argument(m, "indent", *args[0]), 0, 1000)),
        ' ');
  const bool first = args[1] && is_true(*args[1]), blank = args[2] && is_true(*args[2]);
  const std::string& text = text_of(m, "indent", value);
  std::string result;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    m.charge(margin.size() + end - begin);
    if (begin == 0 ? first : blank || end > begin) result += margin;
    result.append(text, begin, end - begin);
    if (end < text.size()) result += '\n';
    begin = end + 1;
  }
  return m.made(std::move(result));
}

Value items_filter(Machine& m, const Value& value, const Arguments& a) {
  if (value.is_undefined()) return List();
  return call_method(m, value, "items", a);
}

Value list_filter(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "list", a, {});
  return m.made(elements_of(m, value));
}

/// The field `path` ("a.b" or an index) of an element.
Value field(Machine& m, Value value, const Value& path) {
  if (!path.string()) {
    const List list = elements_of(m, value);
    const int64_t index = integer_argument(m, "attribute", path);
    if (index < 0 || index >= static_cast<int64_t>(list.size())) return Undefined{"attribute"};
    return list[static_cast<size_t>(index)];
  }
  const std::string& names = *path.string();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find('.', begin), names.size());
    value = member(m, value, names.substr(begin, end - begin));
    begin = end + 1;
  }
  return value;
}

Value join_filter(Machine& m, const Value& value, const Arguments& a) {
  const auto args = bind(m, "join", a, {"d", "attribute"});
  List list = elements_of(m, value);
  if (args[1])
    for (Value& element : list) element = field(m, element, *args[1]);
  return join_texts(m, list, args[0] ? to_text(m, *args[0]) : "");
}

Arguments without_first(Machine& m, const Arguments& a, size_t count) {
  m.charge((a.positional.size() + a.named.size()) * kBytesPerStep);
  Arguments rest = a;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(count));
  return rest;
}

/// map("filter", arguments...) or map(attribute=..., default=...).
Value map_filter(Machine& m, const Value& value, const Arguments& a) {
  List list = elements_of(m, value);
  if (a.positional.empty()) {
    const auto args = bind(m, "map", a, {"attribute", "default"}, 1);
    for (Value& element : list) {
      element = field(m, element, *args[0]);
      if (args[1] && element.is_undefined()) element = *args[1];
    }
  } else {
    const std::string& name = string_argument(m, "map", a.positional[0]);
    const Arguments rest = without_first(m, a, 1);
    for (Value& element : list) element = apply_filter(m, name, element, rest);
  }
  return m.made(std::move(list));
}

/// select, reject, selectattr and rejectattr: [attribute,] [test, arguments...].
template <bool Keeps, bool ByAttribute>
Value select_filter(Machine& m, const Value& value, const Arguments& a) {
  constexpr size_t kBefore = ByAttribute ? 1 : 0;
  if (a.positional.size() < kBefore) m.fail("selectattr: the attribute is missing");
  const bool has_test = a.positional.size() > kBefore;
  const Arguments rest = without_first(m, a, kBefore + (has_test ? 1 : 0));
  List result;
  for (const Value& element : elements_of(m, value)) {
    const Value tested = ByAttribute ? field(m, element, a.positional[0]) : element;
    const bool holds =
        has_test ? apply_test(m, string_argument(m, "select", a.positional[kBefore]), tested, rest)
                 : is_true(tested);
    if (holds == Keeps) result.push_back(element);
  }
  return m.made(std::move(result));
}

Value replace_filter(Machine& m, const Value& value, const Arguments& a) {
  return call_method(m, to_text(m, value), "replace", a);
}

Value reverse_filter(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "reverse", a, {});
  List list = elements_of(m, value);
  std::reverse(list.begin(), list.end());
  return value.string() ? join_texts(m, list, "") : m.made(std::move(list));
}

Value safe_filter(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "safe", a, {});
  return value;
}

Value string_filter(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "string", a, {});
  return m.made(to_text(m, value));
}

Value tojson_filter(Machine& m, const Value& value, const Arguments& a) {
  const auto args = bind(m, "tojson", a, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonLayout layout;
  layout.ascii = args[0] && is_true(*args[0]);
  if (args[1] && !args[1]->is_none())
    layout.indent =
        static_cast<int>(std::clamp<int64_t>(integer_argument(m, "tojson", *args[1]), 0, 16));
  if (args[2] && !args[2]->is_none()) {
    const List separators = elements_of(m, *args[2]);
    if (separators.size() != 2) m.fail("tojson: expected two separators");
    layout.item_separator = string_argument(m, "tojson", separators[0]);
    layout.key_separator = string_argument(m, "tojson", separators[1]);
  }
  layout.sort_keys = args[3] && is_true(*args[3]);
  return m.made(to_json(m, value, layout));
}

Value trim_filter(Machine& m, const Value& value, const Arguments& a) {
  const auto args = bind(m, "trim", a, {"chars"});
  return strip_text(m, to_text(m, value), args[0], true, true);
}

Value unique_filter(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "unique", a, {});
  List result;
  for (const Value& element : elements_of(m, value)) {
    m.charge((result.size() + 1) * 64);
    const auto same = [&](const Value& other) {
      m.charge(std::min(element.size(), other.size()));
      return is_equal(element, other);
    };
    if (std::none_of(result.begin(), result.end(), same)) result.push_back(element);
  }
  return m.made(std::move(result));
}

constexpr Entry<Filter> kFilters[] = {{"abs", abs_filter},
                                      {"capitalize", case_filter<'c'>},
                                      {"count", length_filter},
                                      {"d", default_filter},
                                      {"default", default_filter},
                                      {"first", first_filter},
                                      {"float", float_filter},
                                      {"indent", indent_filter},
                                      {"int", int_filter},
                                      {"items", items_filter},
                                      {"join", join_filter},
                                      {"last", last_filter},
                                      {"length", length_filter},
                                      {"list", list_filter},
                                      {"lower", case_filter<'l'>},
                                      {"map", map_filter},
                                      {"reject", select_filter<false, false>},
                                      {"rejectattr", select_filter<false, true>},
                                      {"replace", replace_filter},
                                      {"reverse", reverse_filter},
                                      {"safe", safe_filter},
                                      {"select", select_filter<true, false>},
                                      {"selectattr", select_filter<true, true>},
                                      {"string", string_filter},
                                      {"title", case_filter<'t'>},
                                      {"tojson", tojson_filter},
                                      {"trim", trim_filter},
                                      {"unique", unique_filter},
                                      {"upper", case_filter<'u'>}};

}  // namespace

Value apply_filter(Machine& machine, std::string_view name, const Value& value,
                   const Arguments& arguments) {
  const Machine::Recursion recursion(machine);  // map() applies filters, too
  machine.charge();
  const Entry<Filter>* filter = find_entry<Filter>(kFilters, name);
  if (!filter) machine.fail("there is no filter '{}'", name);
  return filter->call(machine, value, arguments);
}

Value join_texts(Machine& machine, const List& list, const std::string& separator) {
  std::string result;
  for (size_t i = 0; i < list.size(); ++i) {
    machine.charge(separator.size());
    if (i > 0) result += separator;
    result += to_text(machine, list[i]);
  }
  return machine.made(std::move(result));
}

}  // namespace stamp::jinja
