#pragma once
// What templates can call.
//   filters: abs capitalize count d default first float indent int items join last length list
//     lower map reject rejectattr replace reverse safe select selectattr string title tojson trim
//     unique upper
//   tests: boolean callable defined divisibleby eq equalto even false float ge gt in integer
//   iterable
//     le lower lt mapping ne none number odd sequence string true undefined upper
//   methods: of strings capitalize count endswith find isdigit isspace join lower lstrip
//     removeprefix removesuffix replace rfind rsplit rstrip split splitlines startswith strip title
//     upper; of dictionaries get items keys values; of lists count index
//   functions: dict namespace raise_exception range strftime_now
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "stamp/text/jinja/machine.h"

namespace stamp::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// Arguments by parameter: null where not given. Fails for unknown, repeated or too many ones.
std::vector<const Value*> bind(const Machine& machine, std::string_view what,
                               const Arguments& arguments,
                               std::initializer_list<std::string_view> parameters,
                               size_t required = 0);
/// An argument of type string, integer; fails otherwise.
const std::string& string_argument(const Machine& machine, std::string_view what,
                                   const Value& value);
int64_t integer_argument(const Machine& machine, std::string_view what, const Value& value);

template <class Call>
struct Entry {
  std::string_view name;
  Call call;
};
template <class Call>
const Entry<Call>* find_entry(std::span<const Entry<Call>> entries, std::string_view name) {
  for (const Entry<Call>& entry : entries)
    if (entry.name == name) return &entry;
  return nullptr;
}

using Filter = Value (*)(Machine&, const Value&, const Arguments&);
using Test = bool (*)(Machine&, const Value&, const Arguments&);
using BuiltIn = Value (*)(Machine&, const Arguments&);

/// Filter `name` applied; fails when there is none.
Value apply_filter(Machine& machine, std::string_view name, const Value& value,
                   const Arguments& arguments);
bool apply_test(Machine& machine, std::string_view name, const Value& value,
                const Arguments& arguments);
/// Method `name` of strings, dictionaries and lists.
Value call_method(Machine& machine, const Value& object, std::string_view name,
                  const Arguments& arguments);
/// Null when there is no such function.
const Entry<BuiltIn>* find_function(std::string_view name);

/// Filters that are string methods too.
Value change_case(Machine& machine, std::string_view name, const std::string& text);
Value strip_text(Machine& machine, const std::string& text, const Value* characters, bool left,
                 bool right);
Value replace_text(Machine& machine, const std::string& text, const std::string& old_text,
                   const std::string& new_text, int64_t count);
Value join_texts(Machine& machine, const List& list, const std::string& separator);

/// Elements that a loop visits: of a list, keys of a dictionary, characters of a string; none of an
/// undefined value. Fails for others.
List elements_of(Machine& machine, const Value& value);
/// object.name or object[name]; an undefined value when absent. Fails for undefined objects.
Value member(Machine& machine, const Value& object, std::string_view name);
/// `item` in `container`.
bool contains(Machine& machine, const Value& container, const Value& item);
/// text.find(part, from) and text.rfind(part), in linear time whatever the texts are.
size_t find_text(std::string_view text, std::string_view part, size_t from = 0);
size_t rfind_text(std::string_view text, std::string_view part);
/// Negative, zero or positive as a < b, a == b, a > b; fails for types without order.
int order(Machine& machine, const Value& a, const Value& b);
/// Python's len(); -1 for types without.
int64_t length_of(Machine& machine, const Value& value);

}  // namespace stamp::jinja
