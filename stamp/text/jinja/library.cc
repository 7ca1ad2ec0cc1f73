#include "stamp/text/jinja/library.h"

#include <algorithm>
#include <cstring>

#include "stamp/text/unicode.h"

namespace stamp::jinja {

std::vector<const Value*> bind(const Machine& machine, std::string_view what,
                               const Arguments& arguments,
                               std::initializer_list<std::string_view> parameters,
                               size_t required) {
  if (arguments.positional.size() > parameters.size())
    machine.fail("{} takes at most {} arguments, got {}", what, parameters.size(),
                 arguments.positional.size());
  std::vector<const Value*> bound(parameters.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) machine.fail("{} has no parameter '{}'", what, name);
    const Value*& slot = bound[static_cast<size_t>(found - parameters.begin())];
    if (slot) machine.fail("{}: '{}' is given twice", what, name);
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!bound[i]) machine.fail("{}: '{}' is missing", what, parameters.begin()[i]);
  return bound;
}

const std::string& string_argument(const Machine& machine, std::string_view what,
                                   const Value& value) {
  if (!value.string()) machine.fail("{}: expected a string, got {}", what, type_name(value));
  return *value.string();
}

int64_t integer_argument(const Machine& machine, std::string_view what, const Value& value) {
  if (!value.is_bool() && !value.is_integer())
    machine.fail("{}: expected an integer, got {}", what, type_name(value));
  return value.integer();
}

List elements_of(Machine& machine, const Value& value) {
  machine.charge(value.size());
  if (value.is_undefined()) return {};
  if (value.list()) return *value.list();
  List result;
  if (const std::string* text = value.string()) {
    machine.charge(text->size() * 64);  // a value per character
    for (size_t i = 0; i < text->size();) {
      const size_t bytes = decode_utf8(*text, i).bytes;
      result.emplace_back(text->substr(i, bytes));
      i += bytes;
    }
  } else if (value.dict() && !value.name_space()) {
    for (const auto& [key, element] : value.dict()->entries) result.emplace_back(key);
  } else {
    machine.fail("{} cannot be iterated over", type_name(value));
  }
  return result;
}

Value member(Machine& machine, const Value& object, std::string_view name) {
  if (object.is_undefined()) machine.fail("'{}' is undefined", object.undefined_name());
  if (const Dict* dict = object.dict()) {
    machine.charge(dict->entries.size());
    if (const Value* found = dict->find(name)) return *found;
  }
  return Undefined{std::string(name)};
}

bool contains(Machine& machine, const Value& container, const Value& item) {
  machine.charge(container.size());
  if (container.is_undefined()) return false;
  if (const std::string* text = container.string())
    return find_text(*text, string_argument(machine, "in", item)) != text->npos;
  if (const List* list = container.list())
    return std::any_of(list->begin(), list->end(), [&](const Value& element) {
      machine.charge(std::min(element.size(), item.size()));
      return is_equal(element, item);
    });
  if (const Dict* dict = container.dict())
    return item.string() && dict->find(*item.string()) != nullptr;
  machine.fail("'in': {} contains nothing", type_name(container));
}

size_t find_text(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return text.npos;
  if (part.empty()) return from;
  // std::string's find() is quadratic for long runs; this is the C library's two-way search.
  const void* found = ::memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data()) : text.npos;
}

size_t rfind_text(std::string_view text, std::string_view part) {
  const std::string mirrored_text(text.rbegin(), text.rend());
  const size_t at = find_text(mirrored_text, std::string(part.rbegin(), part.rend()));
  return at == text.npos ? at : text.size() - at - part.size();
}

int order(Machine& machine, const Value& a, const Value& b) {
  machine.charge(std::min(a.size(), b.size()));
  if (a.is_number() && b.is_number()) return (a.number() > b.number()) - (a.number() < b.number());
  if (a.string() && b.string()) return a.string()->compare(*b.string());
  if (a.is_undefined() || b.is_undefined())
    machine.fail("'{}' is undefined", (a.is_undefined() ? a : b).undefined_name());
  machine.fail("cannot compare {} and {}", type_name(a), type_name(b));
}

int64_t length_of(Machine& machine, const Value& value) {
  machine.charge(value.size());
  if (const std::string* text = value.string())
    return std::count_if(text->begin(), text->end(),
                         [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; });
  if (value.is_undefined()) return 0;
  if (value.list()) return static_cast<int64_t>(value.list()->size());
  if (value.dict() && !value.name_space())
    return static_cast<int64_t>(value.dict()->entries.size());
  return -1;
}

}  // namespace stamp::jinja
