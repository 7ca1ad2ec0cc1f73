#include "stamp/text/jinja/expression_parser.h"
#include "stamp/text/jinja/syntax.h"

namespace stamp::jinja {
namespace {

using Kind = Statement::Kind;
constexpr int kMaxBlocks = 64;  // within each other

class TemplateParser {
 public:
  explicit TemplateParser(TokenStream tokens) : t_(std::move(tokens)) {}

  Block run() {
    Block body = block({});
    if (!t_.is(Token::Kind::kEnd)) t_.fail("'{}' closes nothing", t_.peek(1).text);
    return body;
  }

 private:
  using Words = std::vector<std::string_view>;

  static Statement statement(Kind kind, int line) { return {kind, line, {}, {}, {}, {}}; }

  /// True before a tag whose first word is one of `words`.
  bool at_tag(const Words& words) const {
    if (!t_.is(Token::Kind::kTagBegin)) return false;
    for (const std::string_view word : words)
      if (t_.is_word(word, 1)) return true;
    return false;
  }

  void end_tag() { t_.expect(Token::Kind::kTagEnd, "the end of the tag"); }

  /// Statements up to a tag of `ends`, which stays, or up to one that no statement starts with.
  Block block(const Words& ends) {
    if (++depth_ > kMaxBlocks) t_.fail("blocks are nested deeper than {}", kMaxBlocks);
    Block result;
    while (!t_.is(Token::Kind::kEnd) && !at_tag(ends) && !at_stray_end()) result.push_back(next());
    --depth_;
    return result;
  }

  bool at_stray_end() const {
    return at_tag(
        {"endif", "elif", "else", "endfor", "endset", "endmacro", "endfilter", "endgeneration"});
  }

  /// The body of a tag whose end is `end`, which is taken.
  Block body_until(std::string_view end, std::string_view what, int line) {
    Block result = block({end});
    close(end, what, line);
    return result;
  }

  void close(std::string_view end, std::string_view what, int line) {
    if (!at_tag({end}))
      t_.fail("expected '{}' for the '{}' of line {}, got {}", end, what, line,
              t_.is(Token::Kind::kEnd) ? "the end of the template" : t_.peek(1).text);
    t_.next();
    t_.next();
    if (end == "endmacro" && t_.is(Token::Kind::kName)) t_.next();  // may repeat the macro's name
    end_tag();
  }

  Statement next() {
    const Token token = t_.next();
    Statement result = statement(Kind::kText, token.line);
    if (token.kind == Token::Kind::kText) {
      result.text = token.text;
    } else if (token.kind == Token::Kind::kPrintBegin) {
      result.kind = Kind::kPrint;
      result.expressions.push_back(parse_expression(t_, true));
      t_.expect(Token::Kind::kPrintEnd, "'}}'");
    } else {
      result = tag();
    }
    return result;
  }

  Statement tag() {
    const int line = t_.line();
    const std::string word = t_.expect_name("a tag");
    if (word == "if") return if_tag(line);
    if (word == "for") return for_tag(line);
    if (word == "set") return set_tag(line);
    if (word == "macro") return macro_tag(line);
    if (word == "filter") return filter_tag(line);
    if (word == "generation") return group_tag(line);
    if (word == "break" || word == "continue") return jump_tag(line, word);
    t_.fail("the tag '{}' is not supported", word.substr(0, 40));
  }

  Statement if_tag(int line) {
    Statement result = statement(Kind::kIf, line);
    do {
      result.expressions.push_back(parse_expression(t_, true, true));
      end_tag();
      result.bodies.push_back(block({"elif", "else", "endif"}));
    } while (at_tag({"elif"}) && (t_.next(), t_.next(), true));
    if (at_tag({"else"})) {
      t_.next();
      t_.next();
      end_tag();
      result.bodies.push_back(block({"endif"}));
    }
    close("endif", "if", line);
    return result;
  }

  Statement for_tag(int line) {
    Statement result = statement(Kind::kFor, line);
    result.names = targets(false);
    t_.expect_word("in");
    result.expressions.push_back(parse_expression(t_, true, false));
    if (t_.skip_word("if")) result.expressions.push_back(parse_expression(t_));
    if (t_.is_word("recursive")) t_.fail("recursive loops are not supported");
    end_tag();
    ++loops_;
    result.bodies.push_back(block({"else", "endfor"}));
    --loops_;
    if (at_tag({"else"})) {
      t_.next();
      t_.next();
      end_tag();
      result.bodies.push_back(block({"endfor"}));
    }
    close("endfor", "for", line);
    return result;
  }

  /// Names to assign to, separated by commas; `fields`: also "space.field".
  std::vector<std::string> targets(bool fields) {
    std::vector<std::string> names;
    const bool parenthesized = t_.skip_operator("(");
    do {
      std::string name = t_.expect_name("a variable");
      if (fields && t_.skip_operator(".")) name += "." + t_.expect_name("a field");
      names.push_back(std::move(name));
    } while (t_.skip_operator(","));
    if (parenthesized) t_.expect_operator(")");
    return names;
  }

  Statement set_tag(int line) {
    Statement result = statement(Kind::kSet, line);
    result.names = targets(true);
    if (t_.skip_operator("=")) {
      result.expressions.push_back(parse_expression(t_, true));
      end_tag();
      return result;
    }
    if (result.names.size() != 1) t_.fail("expected '=' after several names");
    result.kind = Kind::kCapture;
    if (t_.skip_operator("|")) result.expressions.push_back(parse_filter_names(t_, captured(line)));
    end_tag();
    result.bodies.push_back(body_until("endset", "set", line));
    return result;
  }

  /// Stands for the printed text of a block in its filters.
  Expression captured(int line) {
    return make_expression(t_, Expression::Kind::kName, line, "", {});
  }

  Statement macro_tag(int line) {
    if (depth_ > 1) t_.fail("a macro inside another block is not supported");
    Statement result = statement(Kind::kMacro, line);
    result.text = t_.expect_name("the macro's name");
    t_.expect_operator("(");
    while (!t_.skip_operator(")")) {
      if (!result.names.empty()) t_.expect_operator(",");
      result.names.push_back(t_.expect_name("a parameter"));
      if (t_.skip_operator("="))
        result.expressions.push_back(parse_expression(t_));
      else if (!result.expressions.empty())
        t_.fail("a parameter without default follows one with");
    }
    end_tag();
    result.bodies.push_back(body_until("endmacro", "macro", line));
    return result;
  }

  Statement filter_tag(int line) {
    Statement result = statement(Kind::kFilter, line);
    result.expressions.push_back(parse_filter_names(t_, captured(line)));
    end_tag();
    result.bodies.push_back(body_until("endfilter", "filter", line));
    return result;
  }

  /// Marks what a model generates, for training; prints its body.
  Statement group_tag(int line) {
    Statement result = statement(Kind::kGroup, line);
    end_tag();
    result.bodies.push_back(body_until("endgeneration", "generation", line));
    return result;
  }

  Statement jump_tag(int line, const std::string& word) {
    if (loops_ == 0) t_.fail("'{}' outside of a loop", word);
    end_tag();
    return statement(word == "break" ? Kind::kBreak : Kind::kContinue, line);
  }

  TokenStream t_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

Block parse_template(std::string_view source, const std::string& name) {
  return TemplateParser(TokenStream(tokenize(source, name), name)).run();
}

}  // namespace stamp::jinja
