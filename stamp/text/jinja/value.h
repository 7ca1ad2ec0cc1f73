#pragma once
// Values of a running chat template: what Python's types are to Jinja.
#include <cstdint>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace stamp::jinja {

struct Statement;
class Value;
/// JSON whose objects keep the order of their keys, as Python's do.
using OrderedJson = nlohmann::ordered_json;

/// What an unknown variable or attribute is: prints as nothing, is false, fails when used further.
struct Undefined {
  std::string name;
};
struct None {};

/// Lists and dictionaries are never changed once made, so they cannot contain themselves.
using List = std::vector<Value>;
struct Dict {
  std::vector<std::pair<std::string, Value>> entries;  // in order of insertion

  const Value* find(std::string_view key) const;
  /// Replaces the value of a known key.
  void set(std::string_view key, Value value);
};
/// The one mutable value; owned by the interpreter, since namespaces may refer to each other.
struct Namespace {
  Dict fields;
};
/// A macro of the template or, when `statement` is null, the built-in function `name`.
struct Function {
  const Statement* statement = nullptr;
  std::string_view name;
};

template <class T>
struct Nested {
  T content;
  int depth;    // of nesting, from 1
  size_t size;  // see Value::size()
};

class Value {
 public:
  Value() : data_(None{}) {}
  Value(Undefined value) : data_(std::move(value)) {}
  Value(bool value) : data_(value) {}
  Value(int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string value) : data_(std::make_shared<const std::string>(std::move(value))) {}
  Value(std::string_view value) : Value(std::string(value)) {}
  Value(const char* value) : Value(std::string(value)) {}
  Value(List value);
  Value(Dict value);
  Value(Namespace* value) : data_(value) {}
  Value(Function value) : data_(value) {}

  bool is_undefined() const { return holds<Undefined>(); }
  bool is_none() const { return holds<None>(); }
  bool is_bool() const { return holds<bool>(); }
  bool is_integer() const { return holds<int64_t>(); }
  bool is_float() const { return holds<double>(); }
  bool is_number() const { return is_bool() || is_integer() || is_float(); }
  bool is_function() const { return holds<Function>(); }
  /// Null when the value is of another type.
  const std::string* string() const { return content<std::string>(); }
  const List* list() const { return nested<List>(); }
  /// Fields of a dictionary or namespace.
  const Dict* dict() const;
  Namespace* name_space() const;
  const Function& function() const { return std::get<Function>(data_); }
  const std::string& undefined_name() const { return std::get<Undefined>(data_).name; }
  /// Bool, integer or float as a number.
  double number() const;
  /// Bool or integer.
  int64_t integer() const;

  /// 1 + the depth of the deepest element; 0 when the value is no container.
  int depth() const;
  /// Bytes that a deep copy would take, roughly: a bound for the work of reading the value once.
  size_t size() const;

 private:
  template <class T>
  bool holds() const {
    return std::holds_alternative<T>(data_);
  }
  template <class T>
  const T* content() const {
    const auto* pointer = std::get_if<std::shared_ptr<const T>>(&data_);
    return pointer ? pointer->get() : nullptr;
  }
  template <class T>
  const T* nested() const {
    const auto* value = content<Nested<T>>();
    return value ? &value->content : nullptr;
  }

  std::variant<None, Undefined, bool, int64_t, double, std::shared_ptr<const std::string>,
               std::shared_ptr<const Nested<List>>, std::shared_ptr<const Nested<Dict>>, Namespace*,
               Function>
      data_;
};

/// Python's truth.
bool is_true(const Value& value);
/// Python's ==: numbers by value, containers element by element.
bool is_equal(const Value& a, const Value& b);
/// Python's name of the type, for messages.
std::string_view type_name(const Value& value);

/// Value of JSON data.
Value from_json(const OrderedJson& json);

}  // namespace stamp::jinja
