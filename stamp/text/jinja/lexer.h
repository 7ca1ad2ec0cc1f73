#pragma once
// Tokens of a template: text, and the words inside {{ }} and {% %}.
#include <string>
#include <string_view>
#include <vector>

namespace stamp::jinja {

struct Token {
  enum class Kind {
    kText,        // outside of tags, blanks already stripped
    kPrintBegin,  // {{
    kPrintEnd,    // }}
    kTagBegin,    // {%
    kTagEnd,      // %}
    kName,
    kInteger,
    kFloat,
    kString,    // text: decoded
    kOperator,  // also brackets, commas, ...
    kEnd,       // of the template
  };
  Kind kind;
  std::string text;
  int line;
};

/// Cuts a template into tokens; comments and raw blocks are resolved, blanks stripped (trim_blocks,
/// lstrip_blocks, "-" and "+" in tags, the last newline). Throws std::runtime_error naming `name`
/// and the line.
std::vector<Token> tokenize(std::string_view source, const std::string& name);

}  // namespace stamp::jinja
