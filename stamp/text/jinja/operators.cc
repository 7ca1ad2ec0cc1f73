#include "stamp/text/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "stamp/text/jinja/library.h"
#include "stamp/text/jinja/value_text.h"

namespace stamp::jinja {
namespace {

[[noreturn]] void reject(const Machine& m, std::string_view op, const Value& a, const Value& b) {
  if (a.is_undefined() || b.is_undefined())
    m.fail("'{}' is undefined", (a.is_undefined() ? a : b).undefined_name());
  m.fail("'{}' does not work for {} and {}", op, type_name(a), type_name(b));
}

double floor_remainder(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

Value integers(const Machine& m, char op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case '+':
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case '-':
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case '*':
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    default:
      if (b == -1)  // the one quotient that may not fit
        overflow = op == 'q' && __builtin_sub_overflow(int64_t{0}, a, &result);
      else if (op == 'q')
        result = a / b - (a % b != 0 && (a < 0) != (b < 0));
      else
        result = a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
  }
  if (overflow) m.fail("an integer is too large");
  return result;
}

/// `op`: + - * / % or q for "//".
Value numbers(const Machine& m, char op, const Value& a, const Value& b) {
  if ((op == '/' || op == 'q' || op == '%') && b.number() == 0) m.fail("division by zero");
  if (op != '/' && !a.is_float() && !b.is_float()) return integers(m, op, a.integer(), b.integer());
  const double x = a.number(), y = b.number();
  switch (op) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      return x / y;
    case 'q':
      return std::floor(x / y);
    default:
      return floor_remainder(x, y);
  }
}

Value repeat(Machine& m, const Value& value, int64_t count) {
  count = std::max<int64_t>(count, 0);
  if (count > kMaxRange) m.fail("'*': expected at most {} repetitions", kMaxRange);
  m.charge(value.size() * static_cast<size_t>(count));
  if (value.string()) {
    std::string text;
    for (int64_t i = 0; i < count; ++i) text += *value.string();
    return m.made(std::move(text));
  }
  List list;
  for (int64_t i = 0; i < count; ++i)
    list.insert(list.end(), value.list()->begin(), value.list()->end());
  return m.made(std::move(list));
}

bool is_repeatable(const Value& value) { return value.string() || value.list(); }

Value add_sequences(Machine& m, const Value& a, const Value& b) {
  m.charge(a.size() + b.size());
  if (a.string()) return m.made(*a.string() + *b.string());
  List list = *a.list();
  list.insert(list.end(), b.list()->begin(), b.list()->end());
  return m.made(std::move(list));
}

/// Index of Python in [0, length), or -1.
int64_t position(int64_t index, int64_t length) {
  if (index < 0) index += length;
  return index >= 0 && index < length ? index : -1;
}

}  // namespace

Value unary(Machine& m, std::string_view op, const Value& value) {
  if (op == "not") return !is_true(value);
  if (!value.is_number()) m.fail("'{}' does not work for {}", op, type_name(value));
  if (op == "+") return value;
  return value.is_float() ? Value(-value.number()) : integers(m, '-', 0, value.integer());
}

Value binary(Machine& m, std::string_view op, const Value& left, const Value& right) {
  if (op == "~") return m.made(to_text(m, left) + to_text(m, right));
  if (left.is_number() && right.is_number())
    return numbers(m, op == "//" ? 'q' : op[0], left, right);
  if (op == "+" && ((left.string() && right.string()) || (left.list() && right.list())))
    return add_sequences(m, left, right);
  if (op == "*" && is_repeatable(left) && right.is_integer())
    return repeat(m, left, right.integer());
  if (op == "*" && left.is_integer() && is_repeatable(right))
    return repeat(m, right, left.integer());
  reject(m, op, left, right);
}

bool compare(Machine& m, std::string_view op, const Value& left, const Value& right) {
  if (op == "in") return contains(m, right, left);
  if (op == "not in") return !contains(m, right, left);
  if (op == "==" || op == "!=") {
    m.charge(std::min(left.size(), right.size()));
    return is_equal(left, right) == (op == "==");
  }
  const int sign = order(m, left, right);
  if (op == "<") return sign < 0;
  if (op == "<=") return sign <= 0;
  return op == ">" ? sign > 0 : sign >= 0;
}

Value element(Machine& m, const Value& object, const Value& index) {
  if (index.string()) return member(m, object, *index.string());
  if (object.is_undefined()) m.fail("'{}' is undefined", object.undefined_name());
  if (is_repeatable(object) && (index.is_integer() || index.is_bool())) {
    const List characters = object.string() ? elements_of(m, object) : List();
    const List& list = object.list() ? *object.list() : characters;
    const int64_t at = position(index.integer(), static_cast<int64_t>(list.size()));
    if (at >= 0) return list[static_cast<size_t>(at)];
  }
  return Undefined{to_text(m, index).substr(0, 100)};
}

Value slice(Machine& m, const Value& object, const Value& begin, const Value& end,
            const Value& step) {
  if (!is_repeatable(object)) m.fail("{} cannot be sliced", type_name(object));
  const List list = elements_of(m, object);
  const auto length = static_cast<int64_t>(list.size());
  const int64_t stride = step.is_none() ? 1 : integer_argument(m, "slice", step);
  if (stride == 0) m.fail("slice: the step is 0");
  const int64_t lowest = stride > 0 ? 0 : -1, highest = stride > 0 ? length : length - 1;
  const auto bound = [&](const Value& value, int64_t otherwise) {
    if (value.is_none()) return otherwise;
    const int64_t index = integer_argument(m, "slice", value);
    return std::clamp(index < 0 ? index + length : index, lowest, highest);
  };
  const int64_t from = bound(begin, stride > 0 ? 0 : highest);
  const int64_t to = bound(end, stride > 0 ? length : -1);
  List result;
  for (int64_t i = from; stride > 0 ? i < to : i > to;) {
    result.push_back(list[static_cast<size_t>(i)]);
    if (__builtin_add_overflow(i, stride, &i)) break;
  }
  return object.string() ? join_texts(m, result, "") : m.made(std::move(result));
}

}  // namespace stamp::jinja
