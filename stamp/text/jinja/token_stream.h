#pragma once
// Tokens under a cursor, with the questions that a parser asks.
#include <string>
#include <vector>

#include "stamp/core/error.h"
#include "stamp/text/jinja/lexer.h"

namespace stamp::jinja {

class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, std::string name)
      : tokens_(std::move(tokens)), name_(std::move(name)) {}

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) const {
    throw_runtime("{}: line {}: {}", name_, line(),
                  fmt::format(message, std::forward<Args>(args)...));
  }

  const Token& peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  int line() const { return peek().line; }
  bool is(Token::Kind kind) const { return peek().kind == kind; }
  bool is_operator(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::kOperator && peek(ahead).text == text;
  }
  bool is_word(std::string_view text, size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::kName && peek(ahead).text == text;
  }
  Token next() {
    Token token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool skip_operator(std::string_view text) { return is_operator(text) && (next(), true); }
  bool skip_word(std::string_view text) { return is_word(text) && (next(), true); }
  void expect_operator(std::string_view text) {
    if (!skip_operator(text)) fail("expected '{}', got {}", text, described());
  }
  void expect_word(std::string_view text) {
    if (!skip_word(text)) fail("expected '{}', got {}", text, described());
  }
  void expect(Token::Kind kind, std::string_view what) {
    if (!is(kind)) fail("expected {}, got {}", what, described());
    next();
  }
  std::string expect_name(std::string_view what) {
    if (!is(Token::Kind::kName)) fail("expected {}, got {}", what, described());
    return next().text;
  }
  /// The current token for a message.
  std::string described() const {
    switch (peek().kind) {
      case Token::Kind::kText:
      case Token::Kind::kPrintBegin:
      case Token::Kind::kTagBegin:
        return "the next tag";
      case Token::Kind::kPrintEnd:
      case Token::Kind::kTagEnd:
        return "the end of the tag";
      case Token::Kind::kEnd:
        return "the end of the template";
      default:
        return "'" + peek().text.substr(0, 40) + "'";
    }
  }

 private:
  std::vector<Token> tokens_;
  std::string name_;
  size_t at_ = 0;
};

}  // namespace stamp::jinja
