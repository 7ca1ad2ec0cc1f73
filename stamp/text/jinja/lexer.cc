#include "stamp/text/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "stamp/core/error.h"
#include "stamp/text/unicode.h"

namespace stamp::jinja {
namespace {

constexpr std::string_view kBlanks = " \t\n\r\f\v";
constexpr size_t kMaxSource = size_t{1} << 20;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

// Longest first.
constexpr std::array<std::string_view, 26> kOperators = {
    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<",
    ">",  "=",  "|",  ".",  ",",  ":",  ";", "(", ")", "[", "]", "{", "}"};

class Lexer {
 public:
  Lexer(std::string source, const std::string& name) : source_(std::move(source)), name_(name) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_text();
    add(Token::Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(std::string_view message) const {
    throw_runtime("{}: line {}: {}", name_, line_, message);
  }
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool sees(std::string_view text) const { return rest().starts_with(text); }
  void advance(size_t count) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         source_.begin() + static_cast<std::ptrdiff_t>(at_ + count),
                                         '\n'));
    at_ += count;
  }
  void skip_blanks() { advance(std::min(rest().find_first_not_of(kBlanks), rest().size())); }
  void add(Token::Kind kind, std::string_view text) {
    tokens_.push_back({kind, std::string(text), line_});
  }

  /// Start of the next tag at or after at_, or the end.
  size_t next_tag() const {
    for (size_t i = at_; (i = source_.find('{', i)) != source_.npos; ++i)
      if (i + 1 < source_.size() &&
          std::string_view("{%#").find(source_[i + 1]) != std::string::npos)
        return i;
    return source_.size();
  }

  /// The text up to the tag at `end`, without the blanks that the tag's beginning removes.
  void add_text(size_t end) {
    std::string_view text = std::string_view(source_).substr(at_, end - at_);
    if (end < source_.size()) {
      const char sign = end + 2 < source_.size() ? source_[end + 2] : ' ';
      if (sign == '-')
        text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
      else if (sign != '+' && source_[end + 1] != '{')
        text = without_indent(text);
    }
    if (!text.empty()) add(Token::Kind::kText, text);
    advance(end - at_);
  }

  /// lstrip_blocks: blanks between the start of a line and a tag go.
  std::string_view without_indent(std::string_view text) const {
    const size_t newline = text.rfind('\n');
    const bool starts_line = newline != text.npos || at_ == 0 || source_[at_ - 1] == '\n';
    const size_t line_begin = newline == text.npos ? 0 : newline + 1;
    const bool blank = text.find_first_not_of(kBlanks, line_begin) == text.npos;
    return starts_line && blank ? text.substr(0, line_begin) : text;
  }

  void read_text() {
    const size_t tag = next_tag();
    add_text(tag);
    if (tag == source_.size()) return;
    const char kind = source_[at_ + 1];
    const bool signed_begin =
        at_ + 2 < source_.size() && (source_[at_ + 2] == '-' || source_[at_ + 2] == '+');
    if (kind == '#') return skip_comment();
    add(kind == '{' ? Token::Kind::kPrintBegin : Token::Kind::kTagBegin, "");
    advance(signed_begin ? 3 : 2);
    if (kind == '%' && skip_raw()) return;
    read_words(kind == '{' ? "}}" : "%}",
               kind == '{' ? Token::Kind::kPrintEnd : Token::Kind::kTagEnd);
  }

  /// Blanks after the end of a tag: all of them after "-", one newline after blocks without "+".
  void skip_after(char sign, bool trims_newline) {
    if (sign == '-')
      skip_blanks();
    else if (sign != '+' && trims_newline && sees("\n"))
      advance(1);
  }

  void skip_comment() {
    const size_t end = source_.find("#}", at_ + 2);
    if (end == source_.npos) fail("a comment is not closed");
    const char sign = source_[end - 1];
    advance(end + 2 - at_);
    skip_after(sign, true);
  }

  /// After "{%": a whole raw block becomes one text.
  bool skip_raw() {
    const size_t begin = at_;
    const int line = line_;
    skip_blanks();
    if (!sees("raw")) return at_ = begin, line_ = line, false;
    advance(3);
    skip_blanks();
    const char sign = sees("-") ? '-' : ' ';
    advance(sign == '-' ? 1 : 0);
    if (!sees("%}")) return at_ = begin, line_ = line, false;
    tokens_.pop_back();
    advance(2);
    skip_after(sign, false);
    for (size_t tag = at_; (tag = source_.find("{%", tag)) != source_.npos; ++tag) {
      size_t word = tag + 2;
      if (word < source_.size() && (source_[word] == '-' || source_[word] == '+')) ++word;
      word = source_.find_first_not_of(kBlanks, word);
      if (word == source_.npos || source_.compare(word, 6, "endraw") != 0) continue;
      add_text(tag);
      advance(word + 6 - at_);
      skip_blanks();
      const char end_sign = sees("-") || sees("+") ? source_[at_] : ' ';
      advance(end_sign == ' ' ? 0 : 1);
      if (!sees("%}")) fail("expected '%}' after endraw");
      advance(2);
      skip_after(end_sign, true);
      return true;
    }
    fail("a raw block is not closed");
  }

  /// The words of a tag up to `end`, which does not count inside braces.
  void read_words(std::string_view end, Token::Kind end_kind) {
    int braces = 0;
    while (true) {
      skip_blanks();
      if (at_ == source_.size()) fail("a tag is not closed");
      const bool has_sign =
          (sees("-") || (sees("+") && end == "%}")) && rest().substr(1).starts_with(end);
      if (braces == 0 && (has_sign || sees(end))) {
        const char sign = has_sign ? source_[at_] : ' ';
        add(end_kind, "");
        advance(end.size() + (has_sign ? 1 : 0));
        return skip_after(sign, end == "%}");
      }
      if (sees("{")) ++braces;
      if (sees("}")) --braces;
      read_word();
    }
  }

  void read_word() {
    const char c = source_[at_];
    if (is_name_start(c)) return take(Token::Kind::kName, name_length());
    if (is_digit(c)) return read_number();
    if (c == '"' || c == '\'') return read_string();
    for (const std::string_view op : kOperators)
      if (sees(op)) return take(Token::Kind::kOperator, op.size());
    fail(fmt::format("unexpected '{}'", rest().substr(0, decode_utf8(source_, at_).bytes)));
  }

  void take(Token::Kind kind, size_t length) {
    add(kind, rest().substr(0, length));
    advance(length);
  }

  size_t name_length() const {
    size_t length = 0;
    while (at_ + length < source_.size() && is_name_part(source_[at_ + length])) ++length;
    return length;
  }

  size_t digits_from(size_t i) const {
    while (i < source_.size() && is_digit(source_[i])) ++i;
    return i;
  }

  void read_number() {
    size_t end = digits_from(at_);
    if (source_[at_ - 1] == '.') return take(Token::Kind::kInteger, end - at_);  // x.0.1
    bool is_float = false;
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit(source_[end + 1])) {
      end = digits_from(end + 1);
      is_float = true;
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '-' || source_[exponent] == '+'))
        ++exponent;
      if (const size_t stop = digits_from(exponent); stop > exponent) {
        end = stop;
        is_float = true;
      }
    }
    take(is_float ? Token::Kind::kFloat : Token::Kind::kInteger, end - at_);
  }

  void read_string() {
    const char quote = source_[at_];
    std::string text;
    size_t i = at_ + 1;
    while (i < source_.size() && source_[i] != quote) {
      if (source_[i] == '\\' && i + 1 < source_.size())
        i = read_escape(i + 1, text);
      else
        text += source_[i++];
    }
    if (i >= source_.size()) fail("a string is not closed");
    add(Token::Kind::kString, text);
    advance(i + 1 - at_);
  }

  /// Python's escapes; `i` is after the backslash. Returns the position after the escape.
  size_t read_escape(size_t i, std::string& text) const {
    constexpr std::string_view kLetters = "\\'\"nrtabfv\n";
    constexpr std::string_view kMeaning = "\\'\"\n\r\t\a\b\f\v";
    const size_t known = kLetters.find(source_[i]);
    if (known < kMeaning.size()) return text += kMeaning[known], i + 1;
    if (known != kLetters.npos) return i + 1;  // a line that goes on
    const size_t digits = source_[i] == 'x' ? 2 : source_[i] == 'u' ? 4 : source_[i] == 'U' ? 8 : 0;
    if (digits == 0) return text += '\\', i;
    uint32_t value = 0;
    for (size_t k = 1; k <= digits; ++k) {
      const char digit = i + k < source_.size() ? source_[i + k] : ' ';
      const size_t hex = std::string_view("0123456789abcdefABCDEF").find(digit);
      if (hex == std::string::npos) fail("a string has a broken escape");
      value = value * 16 + static_cast<uint32_t>(hex < 16 ? hex : hex - 6);
    }
    if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
      fail("a string has an escape that is no character");
    append_utf8(value, text);
    return i + 1 + digits;
  }

  std::string source_;
  const std::string& name_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

/// Newlines as "\n", and the last one dropped.
std::string normalized(std::string_view source) {
  std::string text;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

std::vector<Token> tokenize(std::string_view source, const std::string& name) {
  if (source.size() > kMaxSource)
    throw_runtime("{}: expected a template of at most {} bytes, got {}", name, kMaxSource,
                  source.size());
  return Lexer(normalized(replace_invalid_utf8(source)), name).run();
}

}  // namespace stamp::jinja
