#include "stamp/text/jinja/value.h"

#include <algorithm>

namespace stamp::jinja {
namespace {

constexpr size_t kElementSize = 64;  // a Value, and its share of the container

/// Adds one element to the totals of its container.
template <class T>
void account(Nested<T>& nested, const Value& element, size_t key_size) {
  nested.depth = std::max(nested.depth, 1 + element.depth());
  nested.size += kElementSize + key_size + element.size();
}

bool same_lists(const List& a, const List& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), is_equal);
}

/// The entries of a dictionary by key: comparing in this order is not quadratic.
std::vector<const std::pair<std::string, Value>*> sorted_entries(const Dict& dict) {
  std::vector<const std::pair<std::string, Value>*> entries;
  for (const auto& entry : dict.entries) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(), [](auto* x, auto* y) { return x->first < y->first; });
  return entries;
}

bool same_dicts(const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  const auto first = sorted_entries(a), second = sorted_entries(b);
  return std::equal(first.begin(), first.end(), second.begin(), [](auto* x, auto* y) {
    return x->first == y->first && is_equal(x->second, y->second);
  });
}

}  // namespace

const Value* Dict::find(std::string_view key) const {
  for (const auto& [name, value] : entries)
    if (name == key) return &value;
  return nullptr;
}

void Dict::set(std::string_view key, Value value) {
  for (auto& [name, old] : entries)
    if (name == key) {
      old = std::move(value);
      return;
    }
  entries.emplace_back(key, std::move(value));
}

Value::Value(List value) {
  Nested<List> nested{std::move(value), 1, 0};
  for (const Value& element : nested.content) account(nested, element, 0);
  data_ = std::make_shared<const Nested<List>>(std::move(nested));
}

Value::Value(Dict value) {
  Nested<Dict> nested{std::move(value), 1, 0};
  for (const auto& [key, element] : nested.content.entries) account(nested, element, key.size());
  data_ = std::make_shared<const Nested<Dict>>(std::move(nested));
}

const Dict* Value::dict() const {
  if (const Namespace* space = name_space()) return &space->fields;
  return nested<Dict>();
}

Namespace* Value::name_space() const {
  const auto* pointer = std::get_if<Namespace*>(&data_);
  return pointer ? *pointer : nullptr;
}

double Value::number() const {
  return is_float() ? std::get<double>(data_) : static_cast<double>(integer());
}

int64_t Value::integer() const {
  return is_bool() ? int64_t{std::get<bool>(data_)} : std::get<int64_t>(data_);
}

int Value::depth() const {
  if (const auto* list = content<Nested<List>>()) return list->depth;
  if (const auto* dict = content<Nested<Dict>>()) return dict->depth;
  return 0;
}

size_t Value::size() const {
  if (const std::string* text = string()) return text->size();
  if (const auto* list = content<Nested<List>>()) return list->size;
  if (const auto* dict = content<Nested<Dict>>()) return dict->size;
  return 0;
}

bool is_true(const Value& value) {
  if (value.is_none() || value.is_undefined()) return false;
  if (value.is_number()) return value.number() != 0;
  if (value.string()) return !value.string()->empty();
  if (value.list()) return !value.list()->empty();
  return value.name_space() || value.is_function() || !value.dict()->entries.empty();
}

bool is_equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (!a.is_float() && !b.is_float()) return a.integer() == b.integer();
    return a.number() == b.number();
  }
  if (a.string() && b.string()) return *a.string() == *b.string();
  if (a.list() && b.list()) return same_lists(*a.list(), *b.list());
  if (a.name_space() || b.name_space()) return a.name_space() == b.name_space();
  if (a.dict() && b.dict()) return same_dicts(*a.dict(), *b.dict());
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

std::string_view type_name(const Value& value) {
  if (value.is_none()) return "none";
  if (value.is_undefined()) return "undefined";
  if (value.is_bool()) return "bool";
  if (value.is_integer()) return "integer";
  if (value.is_float()) return "float";
  if (value.string()) return "string";
  if (value.list()) return "list";
  if (value.name_space()) return "namespace";
  return value.dict() ? "dictionary" : "function";
}

Value from_json(const OrderedJson& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_array()) {
    List list;
    for (const OrderedJson& element : json) list.push_back(from_json(element));
    return list;
  }
  if (json.is_object()) {
    Dict dict;
    for (const auto& [key, element] : json.items())
      dict.entries.emplace_back(key, from_json(element));
    return dict;
  }
  return {};
}

}  // namespace stamp::jinja
