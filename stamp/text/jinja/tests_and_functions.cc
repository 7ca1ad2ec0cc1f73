// "is" tests and global functions.
#include <algorithm>

#include "stamp/text/jinja/library.h"
#include "stamp/text/jinja/value_text.h"

namespace stamp::jinja {
namespace {

using Predicate = bool (*)(const Value&);

bool is_even(const Value& value) { return value.integer() % 2 == 0; }
bool is_odd(const Value& value) { return value.integer() % 2 != 0; }

/// A test without argument.
template <auto Holds>
bool plain(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "the test", a, {});
  return Holds(value);
}

template <Predicate Holds>
bool of_integer(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "the test", a, {});
  integer_argument(m, "the test", value);
  return Holds(value);
}

bool equal(Machine& m, const Value& value, const Arguments& a) {
  const Value& other = *bind(m, "eq", a, {"other"}, 1)[0];
  m.charge(std::min(value.size(), other.size()));
  return is_equal(value, other);
}
bool unequal(Machine& m, const Value& value, const Arguments& a) { return !equal(m, value, a); }

template <bool (*Holds)(int)>
bool ordered(Machine& m, const Value& value, const Arguments& a) {
  return Holds(order(m, value, *bind(m, "the test", a, {"other"}, 1)[0]));
}

bool below(int order) { return order < 0; }
bool not_above(int order) { return order <= 0; }
bool above(int order) { return order > 0; }
bool not_below(int order) { return order >= 0; }

bool divisible(Machine& m, const Value& value, const Arguments& a) {
  const int64_t by = integer_argument(m, "divisibleby", *bind(m, "divisibleby", a, {"num"}, 1)[0]);
  if (by == 0) m.fail("divisibleby: division by zero");
  return by == -1 || integer_argument(m, "divisibleby", value) % by == 0;
}

bool is_in(Machine& m, const Value& value, const Arguments& a) {
  return contains(m, *bind(m, "in", a, {"seq"}, 1)[0], value);
}

template <bool Upper>
bool has_case(Machine& m, const Value& value, const Arguments& a) {
  bind(m, "the test", a, {});
  const std::string text = to_text(m, value);
  const auto other = *change_case(m, Upper ? "lower" : "upper", text).string();
  return text != other && text == *change_case(m, Upper ? "upper" : "lower", text).string();
}

bool is_mapping(const Value& v) { return v.dict() && !v.name_space(); }
bool is_sequence(const Value& v) { return v.string() || v.list() || is_mapping(v); }

constexpr Entry<Test> kTests[] = {
    {"boolean", plain<[](const Value& v) { return v.is_bool(); }>},
    {"callable", plain<[](const Value& v) { return v.is_function(); }>},
    {"defined", plain<[](const Value& v) { return !v.is_undefined(); }>},
    {"divisibleby", divisible},
    {"eq", equal},
    {"equalto", equal},
    {"even", of_integer<is_even>},
    {"false", plain<[](const Value& v) { return v.is_bool() && !v.integer(); }>},
    {"float", plain<[](const Value& v) { return v.is_float(); }>},
    {"ge", ordered<not_below>},
    {"gt", ordered<above>},
    {"in", is_in},
    {"integer", plain<[](const Value& v) { return v.is_integer(); }>},
    {"iterable", plain<[](const Value& v) { return is_sequence(v) || v.is_undefined(); }>},
    {"le", ordered<not_above>},
    {"lower", has_case<false>},
    {"lt", ordered<below>},
    {"mapping", plain<is_mapping>},
    {"ne", unequal},
    {"none", plain<[](const Value& v) { return v.is_none(); }>},
    {"number", plain<[](const Value& v) { return v.is_number(); }>},
    {"odd", of_integer<is_odd>},
    {"sequence", plain<[](const Value& v) { return is_sequence(v) || v.is_undefined(); }>},
    {"string", plain<[](const Value& v) { return v.string() != nullptr; }>},
    {"true", plain<[](const Value& v) { return v.is_bool() && v.integer(); }>},
    {"undefined", plain<[](const Value& v) { return v.is_undefined(); }>},
    {"upper", has_case<true>}};

/// dict(a=1) or dict(other, a=1).
Dict dict_of(Machine& m, const Arguments& a) {
  if (a.positional.size() > 1) m.fail("dict takes at most one argument");
  Dict dict;
  if (!a.positional.empty()) {
    if (!a.positional[0].dict()) m.fail("dict: expected a dictionary");
    dict = *a.positional[0].dict();
  }
  for (const auto& [name, value] : a.named) {
    m.charge(dict.entries.size() * 16);
    dict.set(name, value);
  }
  return dict;
}
Value dict_function(Machine& m, const Arguments& a) { return m.made(dict_of(m, a)); }
Value namespace_function(Machine& m, const Arguments& a) { return m.make_namespace(dict_of(m, a)); }

Value raise_function(Machine& m, const Arguments& a) {
  m.fail("the template refuses: {}",
         to_text(m, *bind(m, "raise_exception", a, {"message"}, 1)[0]).substr(0, 1000));
}

Value range_function(Machine& m, const Arguments& a) {
  const auto args = bind(m, "range", a, {"start", "stop", "step"}, 1);
  int64_t start = integer_argument(m, "range", *args[0]), stop = 0, step = 1;
  if (args[1])
    stop = integer_argument(m, "range", *args[1]);
  else
    std::swap(start, stop);
  if (args[2]) step = integer_argument(m, "range", *args[2]);
  if (step == 0) m.fail("range: the step is 0");
  List list;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(list.size()) == kMaxRange)
      m.fail("range: expected at most {} elements", kMaxRange);
    list.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return m.made(std::move(list));
}

Value strftime_function(Machine& m, const Arguments& a) {
  const std::string& format =
      string_argument(m, "strftime_now", *bind(m, "strftime_now", a, {"format"}, 1)[0]);
  // glibc's strftime understands more (field widths, other calendars); templates need these.
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') continue;
    if (i + 1 < format.size() && format[i + 1] == '-') ++i;
    if (++i == format.size() ||
        std::string_view("aAbBcdFHIjmMpSTuUwxXyYZ%").find(format[i]) == std::string_view::npos)
      m.fail("strftime_now: unsupported format '{}'", format.substr(0, 100));
  }
  if (format.empty() || format.size() > 200) return format;
  char text[2048];
  return m.made(std::string(text, std::strftime(text, sizeof text, format.c_str(), &m.now())));
}

constexpr Entry<BuiltIn> kFunctions[] = {{"dict", dict_function},
                                         {"namespace", namespace_function},
                                         {"raise_exception", raise_function},
                                         {"range", range_function},
                                         {"strftime_now", strftime_function}};

}  // namespace

bool apply_test(Machine& machine, std::string_view name, const Value& value,
                const Arguments& arguments) {
  machine.charge();
  const Entry<Test>* test = find_entry<Test>(kTests, name);
  if (!test) machine.fail("there is no test '{}'", name);
  return test->call(machine, value, arguments);
}

const Entry<BuiltIn>* find_function(std::string_view name) {
  return find_entry<BuiltIn>(kFunctions, name);
}

}  // namespace stamp::jinja
