// Renders a parsed template.
#include <algorithm>
#include <unordered_map>

#include "stamp/text/jinja/jinja.h"
#include "stamp/text/jinja/library.h"
#include "stamp/text/jinja/operators.h"
#include "stamp/text/jinja/value_text.h"

namespace stamp::jinja {
namespace {

using Scope = std::unordered_map<std::string, Value>;
enum class Flow { kNext, kBreak, kContinue };

class Interpreter {
 public:
  Interpreter(Machine& machine, const OrderedJson& variables) : m_(machine), scopes_(1) {
    for (const auto& [name, value] : variables.items())
      scopes_[0].emplace(name, m_.made(from_json(value)));
  }

  Flow run(const Block& block, std::string& out) {
    const Machine::Recursion recursion(m_);
    for (const Statement& statement : block) {
      m_.set_line(statement.line);
      m_.charge();
      if (const Flow flow = execute(statement, out); flow != Flow::kNext) return flow;
    }
    return Flow::kNext;
  }

 private:
  /// A scope while it lives.
  struct Inner {
    explicit Inner(Interpreter& interpreter) : scopes(interpreter.scopes_) {
      scopes.emplace_back();
    }
    ~Inner() { scopes.pop_back(); }
    std::vector<Scope>& scopes;
  };

  // Statements.

  Flow execute(const Statement& s, std::string& out) {
    switch (s.kind) {
      case Statement::Kind::kText:
        print(s.text, out);
        return Flow::kNext;
      case Statement::Kind::kPrint:
        print(to_text(m_, evaluate(s.expressions[0])), out);
        return Flow::kNext;
      case Statement::Kind::kIf:
        return run_if(s, out);
      case Statement::Kind::kFor:
        return run_for(s, out);
      case Statement::Kind::kSet:
        assign(s.names, evaluate(s.expressions[0]), true);
        return Flow::kNext;
      case Statement::Kind::kCapture:
        assign(s.names, captured(s), true);
        return Flow::kNext;
      case Statement::Kind::kMacro:
        scopes_.back()[s.text] = Function{.statement = &s, .name = s.text};
        return Flow::kNext;
      case Statement::Kind::kFilter:
      case Statement::Kind::kGroup:
        print(to_text(m_, captured(s)), out);
        return Flow::kNext;
      case Statement::Kind::kBreak:
        return Flow::kBreak;
      case Statement::Kind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kNext;
  }

  void print(std::string_view text, std::string& out) {
    m_.charge(text.size());
    out += text;
  }

  Flow run_if(const Statement& s, std::string& out) {
    for (size_t i = 0; i < s.expressions.size(); ++i)
      if (is_true(evaluate(s.expressions[i]))) return run(s.bodies[i], out);
    return s.bodies.size() > s.expressions.size() ? run(s.bodies.back(), out) : Flow::kNext;
  }

  /// What the body prints, through the filters if there are any.
  Value captured(const Statement& s) {
    const Inner scope(*this);
    std::string text;
    run(s.bodies[0], text);
    if (s.expressions.empty()) return m_.made(std::move(text));
    scopes_.back()[""] = m_.made(std::move(text));
    return evaluate(s.expressions[0]);
  }

  /// The elements to visit: those that pass the loop's condition.
  List visited(const Statement& s) {
    List elements = elements_of(m_, evaluate(s.expressions[0]));
    if (s.expressions.size() == 1) return elements;
    List kept;
    for (Value& element : elements) {
      const Inner scope(*this);
      assign(s.names, element, false);
      if (is_true(evaluate(s.expressions[1]))) kept.push_back(std::move(element));
    }
    return kept;
  }

  Value loop_state(const List& elements, size_t i) {
    const auto count = static_cast<int64_t>(elements.size()), at = static_cast<int64_t>(i);
    Dict loop;
    loop.entries = {{"index", at + 1},        {"index0", at},
                    {"revindex", count - at}, {"revindex0", count - at - 1},
                    {"first", at == 0},       {"last", at + 1 == count},
                    {"length", count}};
    if (i > 0) loop.entries.emplace_back("previtem", elements[i - 1]);
    if (i + 1 < elements.size()) loop.entries.emplace_back("nextitem", elements[i + 1]);
    return m_.made(std::move(loop));
  }

  Flow run_for(const Statement& s, std::string& out) {
    const List elements = visited(s);
    for (size_t i = 0; i < elements.size(); ++i) {
      const Inner scope(*this);
      scopes_.back()["loop"] = loop_state(elements, i);
      assign(s.names, elements[i], false);
      if (run(s.bodies[0], out) == Flow::kBreak) break;
    }
    if (elements.empty() && s.bodies.size() > 1) return run(s.bodies[1], out);
    return Flow::kNext;
  }

  void assign(const std::vector<std::string>& names, const Value& value, bool fields) {
    if (names.size() == 1) return assign(names[0], value, fields);
    const List elements = elements_of(m_, value);
    if (elements.size() != names.size())
      m_.fail("expected {} values to unpack, got {}", names.size(), elements.size());
    for (size_t i = 0; i < names.size(); ++i) assign(names[i], elements[i], fields);
  }

  void assign(const std::string& name, const Value& value, bool fields) {
    const size_t dot = fields ? name.find('.') : name.npos;
    if (dot == name.npos) {
      scopes_.back()[name] = value;
      return;
    }
    Namespace* space = lookup(name.substr(0, dot)).name_space();
    if (!space) m_.fail("'{}' is no namespace", name.substr(0, dot));
    m_.charge(space->fields.entries.size() * 16);
    space->fields.set(name.substr(dot + 1), value);
  }

  // Expressions.

  Value lookup(const std::string& name) {
    for (size_t i = scopes_.size(); i-- > 0;) {
      m_.charge();
      const auto found = scopes_[i].find(name);
      if (found != scopes_[i].end()) return found->second;
      if (i == frame_) i = std::min<size_t>(i, 1);  // a macro sees its own scopes and the outermost
    }
    if (const auto* function = find_function(name))
      return Function{.statement = nullptr, .name = function->name};
    return Undefined{name};
  }

  Value evaluate(const Expression& e) {
    const Machine::Recursion recursion(m_);
    m_.charge();
    m_.set_line(e.line);
    switch (e.kind) {
      case Expression::Kind::kLiteral:
        return e.value;
      case Expression::Kind::kName:
        return lookup(e.name);
      case Expression::Kind::kList:
        return m_.made(evaluate_all(e.operands));
      case Expression::Kind::kDict:
        return dict(e);
      case Expression::Kind::kAttribute:
        return member(m_, evaluate(e.operands[0]), e.name);
      case Expression::Kind::kIndex:
      case Expression::Kind::kSlice:
        return subscript(e);
      case Expression::Kind::kCall:
        return call(e);
      case Expression::Kind::kFilter:
      case Expression::Kind::kTest:
        return filter_or_test(e);
      case Expression::Kind::kUnary:
        return unary(m_, e.name, evaluate(e.operands[0]));
      case Expression::Kind::kBinary:
        return binary_value(e);
      case Expression::Kind::kCompare:
        return comparison(e);
      case Expression::Kind::kChoice:
        return evaluate(e.operands[is_true(evaluate(e.operands[1])) ? 0 : 2]);
    }
    return {};
  }

  List evaluate_all(const std::vector<Expression>& expressions) {
    List values;
    for (const Expression& expression : expressions) values.push_back(evaluate(expression));
    return values;
  }

  Value dict(const Expression& e) {
    Dict result;
    for (size_t i = 0; i < e.operands.size(); i += 2) {
      const Value key = evaluate(e.operands[i]);
      m_.charge(result.entries.size() * 16);
      result.set(string_argument(m_, "a dictionary's key", key), evaluate(e.operands[i + 1]));
    }
    return m_.made(std::move(result));
  }

  Value subscript(const Expression& e) {
    const Value object = evaluate(e.operands[0]);
    if (e.kind == Expression::Kind::kIndex) return element(m_, object, evaluate(e.operands[1]));
    const Value begin = evaluate(e.operands[1]), end = evaluate(e.operands[2]);
    return slice(m_, object, begin, end, evaluate(e.operands[3]));
  }

  Value binary_value(const Expression& e) {
    const Value left = evaluate(e.operands[0]);
    if (e.name == "and") return is_true(left) ? evaluate(e.operands[1]) : left;
    if (e.name == "or") return is_true(left) ? left : evaluate(e.operands[1]);
    const Value right = evaluate(e.operands[1]);
    m_.set_line(e.line);
    return binary(m_, e.name, left, right);
  }

  Value comparison(const Expression& e) {
    Value left = evaluate(e.operands[0]);
    for (size_t i = 0; i < e.keywords.size(); ++i) {
      Value right = evaluate(e.operands[i + 1]);
      m_.set_line(e.line);
      if (!compare(m_, e.keywords[i], left, right)) return false;
      left = std::move(right);
    }
    return true;
  }

  /// Operands after the first.
  Arguments arguments(const Expression& e) {
    Arguments result;
    const size_t first_keyword = e.operands.size() - e.keywords.size();
    for (size_t i = 1; i < e.operands.size(); ++i) {
      Value value = evaluate(e.operands[i]);
      if (i < first_keyword)
        result.positional.push_back(std::move(value));
      else
        result.named.emplace_back(e.keywords[i - first_keyword], std::move(value));
    }
    return result;
  }

  Value filter_or_test(const Expression& e) {
    const Value value = evaluate(e.operands[0]);
    const Arguments args = arguments(e);
    m_.set_line(e.line);
    if (e.kind == Expression::Kind::kTest) return apply_test(m_, e.name, value, args);
    return apply_filter(m_, e.name, value, args);
  }

  Value call(const Expression& e) {
    const Expression& callee = e.operands[0];
    if (callee.kind == Expression::Kind::kAttribute) {
      const Value object = evaluate(callee.operands[0]);
      const Value* field = object.dict() ? object.dict()->find(callee.name) : nullptr;
      const Arguments args = arguments(e);
      m_.set_line(e.line);
      if (field && field->is_function()) return call_function(field->function(), args);
      return call_method(m_, object, callee.name, args);
    }
    const Value function = evaluate(callee);
    const Arguments args = arguments(e);
    m_.set_line(e.line);
    if (function.is_undefined()) m_.fail("'{}' is undefined", function.undefined_name());
    if (!function.is_function()) m_.fail("{} cannot be called", type_name(function));
    return call_function(function.function(), args);
  }

  Value call_function(const Function& function, const Arguments& args) {
    if (!function.statement) return find_function(function.name)->call(m_, args);
    return call_macro(*function.statement, args);
  }

  Value call_macro(const Statement& macro, const Arguments& args) {
    const Machine::Recursion recursion(m_);
    m_.charge(macro.names.size() * (1 + args.named.size()) * kBytesPerStep);
    Scope scope;
    if (args.positional.size() > macro.names.size())
      m_.fail("the macro '{}' takes at most {} arguments", macro.text, macro.names.size());
    for (size_t i = 0; i < args.positional.size(); ++i) scope[macro.names[i]] = args.positional[i];
    for (const auto& [name, value] : args.named) {
      if (std::find(macro.names.begin(), macro.names.end(), name) == macro.names.end())
        m_.fail("the macro '{}' has no parameter '{}'", macro.text, name);
      scope[name] = value;
    }
    const size_t outer = frame_;
    const Inner inner(*this);
    frame_ = scopes_.size() - 1;
    scopes_.back() = std::move(scope);
    fill_defaults(macro);
    std::string text;
    run(macro.bodies[0], text);
    frame_ = outer;
    return m_.made(std::move(text));
  }

  void fill_defaults(const Statement& macro) {
    const size_t first_default = macro.names.size() - macro.expressions.size();
    for (size_t i = 0; i < macro.names.size(); ++i) {
      if (scopes_.back().contains(macro.names[i])) continue;
      Value value = i < first_default ? Value(Undefined{macro.names[i]})
                                      : evaluate(macro.expressions[i - first_default]);
      scopes_.back()[macro.names[i]] = std::move(value);
    }
  }

  Machine& m_;
  std::vector<Scope> scopes_;
  size_t frame_ = 0;  // the innermost macro's first scope
};

}  // namespace

Template::Template(std::string_view source, std::string name)
    : name_(std::move(name)), body_(parse_template(source, name_)) {}

std::string Template::render(const OrderedJson& variables, const std::tm& now,
                             int64_t max_steps) const {
  Machine machine(name_, now, max_steps);
  std::string out;
  Interpreter(machine, variables).run(body_, out);
  return out;
}

}  // namespace stamp::jinja
