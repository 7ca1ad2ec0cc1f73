#pragma once
// A parsed template.
#include <string>
#include <vector>

#include "stamp/text/jinja/value.h"

namespace stamp::jinja {

struct Expression {
  enum class Kind {
    kLiteral,    // value
    kName,       // name
    kList,       // operands; tuples, too
    kDict,       // operands: key, value, key, value, ...
    kAttribute,  // operands[0].name
    kIndex,      // operands[0][operands[1]]
    kSlice,      // operands[0][operands[1]:operands[2]:operands[3]], none where absent
    kCall,       // operands[0](operands[1], ...)
    kFilter,     // operands[0] | name(operands[1], ...)
    kTest,       // operands[0] is name(operands[1], ...)
    kUnary,      // name: "not", "-", "+"
    kBinary,     // operands[0] name operands[1]; "and" and "or" are lazy
    kCompare,    // operands[0] keywords[0] operands[1] keywords[1] operands[2] ...
    kChoice,     // operands[0] if operands[1] else operands[2]
  };
  Kind kind;
  int line;
  int depth = 1;  // 1 + that of the deepest operand
  std::string name;
  Value value;
  std::vector<Expression> operands;
  std::vector<std::string> keywords;  // names of the last operands of calls, filters and tests
};

struct Statement {
  enum class Kind {
    kText,     // text
    kPrint,    // expressions[0]
    kIf,       // bodies[i] when expressions[i]; one body more: else
    kFor,      // names in expressions[0] [if expressions[1]]: bodies[0], else bodies[1]
    kSet,      // names = expressions[0]; "space.field" sets a field of a namespace
    kCapture,  // names[0] = what bodies[0] prints
    kMacro,    // text(names...), the last of them with defaults expressions: bodies[0]
    kFilter,   // expressions[0], whose innermost operand is what bodies[0] prints
    kGroup,    // bodies[0]
    kBreak,
    kContinue,
  };
  Kind kind;
  int line;
  std::string text;
  std::vector<std::string> names;
  std::vector<Expression> expressions;
  std::vector<std::vector<Statement>> bodies;
};
using Block = std::vector<Statement>;

/// Parses a template with trim_blocks and lstrip_blocks, as transformers sets them. Throws
/// std::runtime_error naming `name` and the line.
Block parse_template(std::string_view source, const std::string& name);

}  // namespace stamp::jinja
