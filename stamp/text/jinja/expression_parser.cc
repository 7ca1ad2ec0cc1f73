#include "stamp/text/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>

namespace stamp::jinja {
namespace {

using Kind = Expression::Kind;
constexpr int kMaxTree = 200;  // depth of an expression

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : t_(tokens) {}

  Expression choice() {
    const Nesting nesting(*this);
    Expression value = disjunction();
    while (t_.is_word("if")) {
      const int line = t_.next().line;
      Expression condition = disjunction();
      Expression otherwise = t_.skip_word("else") ? choice() : literal(line, Undefined{"else"});
      value = make(Kind::kChoice, line, "",
                   {std::move(value), std::move(condition), std::move(otherwise)});
    }
    return value;
  }

  Expression disjunction() {
    Expression left = conjunction();
    while (t_.is_word("or")) left = binary(std::move(left), &ExpressionParser::conjunction);
    return left;
  }

  Expression tuple(bool with_choice) {
    const auto element = [&] { return with_choice ? choice() : disjunction(); };
    Expression first = element();
    if (!t_.is_operator(",")) return first;
    std::vector<Expression> elements;
    const int line = first.line;
    elements.push_back(std::move(first));
    while (t_.skip_operator(",") && !ends_tuple()) elements.push_back(element());
    return make(Kind::kList, line, "", std::move(elements));
  }

  Expression filters(Expression value) {
    while (t_.is_operator("|")) {
      t_.next();
      value = filter(std::move(value));
    }
    return value;
  }

  /// NAME[(arguments)] applied to `value`.
  Expression filter(Expression value) {
    const int line = t_.line();
    return with_arguments(Kind::kFilter, line, dotted_name("a filter"), std::move(value));
  }

 private:
  /// Bounds the recursion of the parser itself.
  struct Nesting {
    explicit Nesting(ExpressionParser& parser) : parser(parser) {
      if (++parser.nesting_ > kMaxTree) parser.t_.fail("expressions are nested too deep");
    }
    ~Nesting() { --parser.nesting_; }
    ExpressionParser& parser;
  };

  Expression make(Kind kind, int line, std::string name, std::vector<Expression> operands) {
    return make_expression(t_, kind, line, std::move(name), std::move(operands));
  }
  static Expression literal(int line, Value value) {
    return {Kind::kLiteral, line, 1, {}, std::move(value), {}, {}};
  }

  bool ends_tuple() const {
    return t_.is(Token::Kind::kTagEnd) || t_.is(Token::Kind::kPrintEnd) || t_.is_operator(")") ||
           t_.is_operator("=");
  }

  /// `left` OPERATOR next().
  Expression binary(Expression left, Expression (ExpressionParser::*next)()) {
    const Token op = t_.next();
    Expression right = (this->*next)();
    return make(Kind::kBinary, op.line, op.text, {std::move(left), std::move(right)});
  }

  Expression conjunction() {
    Expression left = negation();
    while (t_.is_word("and")) left = binary(std::move(left), &ExpressionParser::negation);
    return left;
  }

  Expression negation() {
    const Nesting nesting(*this);
    if (!t_.is_word("not")) return comparison();
    const int line = t_.next().line;
    return make(Kind::kUnary, line, "not", {negation()});
  }

  /// The comparison operator under the cursor, taken; empty when there is none.
  std::string comparison_operator() {
    for (const char* op : {"==", "!=", "<=", ">=", "<", ">"})
      if (t_.skip_operator(op)) return op;
    if (t_.skip_word("in")) return "in";
    if (t_.is_word("not") && t_.is_word("in", 1)) return t_.next(), t_.next(), "not in";
    return "";
  }

  Expression comparison() {
    const int line = t_.line();
    std::vector<Expression> operands;
    operands.push_back(sum());
    std::vector<std::string> operators;
    for (std::string op = comparison_operator(); !op.empty(); op = comparison_operator()) {
      operators.push_back(op);
      operands.push_back(sum());
    }
    if (operators.empty()) return std::move(operands.front());
    Expression result = make(Kind::kCompare, line, "", std::move(operands));
    result.keywords = std::move(operators);
    return result;
  }

  Expression sum() {
    Expression left = joined();
    while (t_.is_operator("+") || t_.is_operator("-"))
      left = binary(std::move(left), &ExpressionParser::joined);
    return left;
  }

  Expression joined() {
    Expression left = product();
    while (t_.is_operator("~")) left = binary(std::move(left), &ExpressionParser::product);
    return left;
  }

  Expression product() {
    Expression left = unary();
    while (t_.is_operator("*") || t_.is_operator("/") || t_.is_operator("//") ||
           t_.is_operator("%"))
      left = binary(std::move(left), &ExpressionParser::unary);
    return left;
  }

  Expression unary() { return signed_value(true); }

  Expression signed_value(bool with_filters) {
    const Nesting nesting(*this);
    const int line = t_.line();
    Expression value;
    if (t_.is_operator("-") || t_.is_operator("+")) {
      const std::string sign = t_.next().text;
      value = make(Kind::kUnary, line, sign, {signed_value(false)});
    } else {
      value = postfix(primary());
    }
    return with_filters ? filters_and_tests(std::move(value)) : std::move(value);
  }

  Expression primary() {
    const Token token = t_.peek();
    switch (token.kind) {
      case Token::Kind::kName:
        t_.next();
        return named(token);
      case Token::Kind::kString:
        return strings();
      case Token::Kind::kInteger:
      case Token::Kind::kFloat:
        t_.next();
        return literal(token.line, number(token));
      default:
        break;
    }
    if (t_.skip_operator("(")) return parenthesized(token.line);
    if (t_.skip_operator("[")) return list(token.line);
    if (t_.skip_operator("{")) return dict(token.line);
    t_.fail("expected a value, got {}", t_.described());
  }

  Expression named(const Token& token) {
    if (token.text == "true" || token.text == "True") return literal(token.line, true);
    if (token.text == "false" || token.text == "False") return literal(token.line, false);
    if (token.text == "none" || token.text == "None") return literal(token.line, Value());
    return make(Kind::kName, token.line, token.text, {});
  }

  /// Neighbouring string literals are one.
  Expression strings() {
    const int line = t_.line();
    std::string text;
    while (t_.is(Token::Kind::kString)) text += t_.next().text;
    return literal(line, std::move(text));
  }

  Value number(const Token& token) const {
    const char* begin = token.text.data();
    const char* end = begin + token.text.size();
    if (token.kind == Token::Kind::kInteger) {
      int64_t value = 0;
      if (std::from_chars(begin, end, value).ec == std::errc()) return value;
    } else {
      double value = 0;
      if (std::from_chars(begin, end, value).ec == std::errc()) return value;
    }
    t_.fail("the number {} is too large", token.text.substr(0, 40));
  }

  Expression parenthesized(int line) {
    if (t_.skip_operator(")")) return make(Kind::kList, line, "", {});
    Expression value = tuple(true);
    t_.expect_operator(")");
    return value;
  }

  Expression list(int line) {
    std::vector<Expression> elements;
    while (!t_.skip_operator("]")) {
      if (!elements.empty()) t_.expect_operator(",");
      if (t_.skip_operator("]")) break;
      elements.push_back(choice());
    }
    return make(Kind::kList, line, "", std::move(elements));
  }

  Expression dict(int line) {
    std::vector<Expression> entries;
    while (!t_.skip_operator("}")) {
      if (!entries.empty()) t_.expect_operator(",");
      if (t_.skip_operator("}")) break;
      entries.push_back(choice());
      t_.expect_operator(":");
      entries.push_back(choice());
    }
    return make(Kind::kDict, line, "", std::move(entries));
  }

  Expression postfix(Expression value) {
    while (true) {
      const int line = t_.line();
      if (t_.skip_operator("."))
        value = attribute(line, std::move(value));
      else if (t_.skip_operator("["))
        value = subscript(line, std::move(value));
      else if (t_.is_operator("("))
        value = with_arguments(Kind::kCall, line, "", std::move(value));
      else
        return value;
    }
  }

  Expression filters_and_tests(Expression value) {
    while (true) {
      if (t_.skip_operator("|"))
        value = filter(std::move(value));
      else if (t_.is_word("is"))
        value = test(std::move(value));
      else if (t_.is_operator("("))
        value = postfix(std::move(value));
      else
        return value;
    }
  }

  Expression attribute(int line, Expression object) {
    if (!t_.is(Token::Kind::kInteger))
      return make(Kind::kAttribute, line, t_.expect_name("an attribute"), {std::move(object)});
    Expression index = literal(line, number(t_.next()));
    return make(Kind::kIndex, line, "", {std::move(object), std::move(index)});
  }

  Expression subscript(int line, Expression object) {
    std::vector<Expression> operands;
    operands.push_back(std::move(object));
    bool is_slice = false;
    for (int part = 0; part < 3; ++part) {
      const bool absent = t_.is_operator(":") || t_.is_operator("]");
      operands.push_back(absent ? literal(line, Value()) : choice());
      if (part == 2 || !t_.is_operator(":")) break;
      t_.next();
      is_slice = true;
    }
    if (!is_slice && t_.is_operator("]") && operands[1].kind == Kind::kLiteral &&
        operands[1].value.is_none())
      t_.fail("expected an index, got ']'");
    t_.expect_operator("]");
    while (is_slice && operands.size() < 4) operands.push_back(literal(line, Value()));
    return make(is_slice ? Kind::kSlice : Kind::kIndex, line, "", std::move(operands));
  }

  std::string dotted_name(std::string_view what) {
    std::string name = t_.expect_name(what);
    while (t_.skip_operator(".")) name += "." + t_.expect_name(what);
    return name;
  }

  /// operands = {object, arguments...} of a call, filter or test with optional parentheses.
  Expression with_arguments(Kind kind, int line, std::string name, Expression object) {
    std::vector<Expression> operands;
    operands.push_back(std::move(object));
    std::vector<std::string> keywords;
    if (t_.skip_operator("(")) {
      while (!t_.skip_operator(")")) {
        if (operands.size() > 1) t_.expect_operator(",");
        if (t_.skip_operator(")")) break;
        read_argument(operands, keywords);
      }
    }
    Expression result = make(kind, line, std::move(name), std::move(operands));
    result.keywords = std::move(keywords);
    return result;
  }

  void read_argument(std::vector<Expression>& operands, std::vector<std::string>& keywords) {
    if (t_.is_operator("*") || t_.is_operator("**"))
      t_.fail("'*' and '**' before arguments are not supported");
    if (t_.is(Token::Kind::kName) && t_.is_operator("=", 1)) {
      keywords.push_back(t_.next().text);
      t_.next();
    } else if (!keywords.empty()) {
      t_.fail("a positional argument follows a named one");
    }
    operands.push_back(choice());
  }

  /// "is [not] NAME [argument]".
  Expression test(Expression value) {
    const int line = t_.next().line;
    const bool negated = t_.skip_word("not");
    std::string name = dotted_name("a test");
    Expression result;
    if (!t_.is_operator("(") && starts_test_argument()) {
      std::vector<Expression> operands;
      operands.push_back(std::move(value));
      operands.push_back(postfix(primary()));
      result = make(Kind::kTest, line, std::move(name), std::move(operands));
    } else {
      result = with_arguments(Kind::kTest, line, std::move(name), std::move(value));
    }
    return negated ? make(Kind::kUnary, line, "not", {std::move(result)}) : std::move(result);
  }

  bool starts_test_argument() const {
    switch (t_.peek().kind) {
      case Token::Kind::kString:
      case Token::Kind::kInteger:
      case Token::Kind::kFloat:
        return true;
      case Token::Kind::kName:
        return !t_.is_word("else") && !t_.is_word("or") && !t_.is_word("and") &&
               !t_.is_word("if") && !t_.is_word("is") && !t_.is_word("in") && !t_.is_word("not");
      default:
        return t_.is_operator("[") || t_.is_operator("{");
    }
  }

  TokenStream& t_;
  int nesting_ = 0;
};

}  // namespace

Expression make_expression(TokenStream& tokens, Kind kind, int line, std::string name,
                           std::vector<Expression> operands) {
  int depth = 1;
  for (const Expression& operand : operands) depth = std::max(depth, operand.depth + 1);
  if (depth > kMaxTree) tokens.fail("an expression is nested deeper than {}", kMaxTree);
  return {.kind = kind,
          .line = line,
          .depth = depth,
          .name = std::move(name),
          .value = {},
          .operands = std::move(operands),
          .keywords = {}};
}

Expression parse_expression(TokenStream& tokens, bool with_tuple, bool with_choice) {
  ExpressionParser parser(tokens);
  if (with_tuple) return parser.tuple(with_choice);
  return with_choice ? parser.choice() : parser.disjunction();
}

Expression parse_filter_names(TokenStream& tokens, Expression operand) {
  ExpressionParser parser(tokens);
  return parser.filters(parser.filter(std::move(operand)));
}

}  // namespace stamp::jinja
