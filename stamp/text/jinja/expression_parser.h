#pragma once
// Expressions of a template.
#include "stamp/text/jinja/syntax.h"
#include "stamp/text/jinja/token_stream.h"

namespace stamp::jinja {

/// Parses one expression; `with_tuple` lets "a, b" make a list, `with_choice` allows "a if b else
/// c" at its top. Throws as parse_template().
Expression parse_expression(TokenStream& tokens, bool with_tuple = false, bool with_choice = true);
/// What {% filter %} names: a chain of filters around `operand`.
Expression parse_filter_names(TokenStream& tokens, Expression operand);
/// One with its depth computed and bounded.
Expression make_expression(TokenStream& tokens, Expression::Kind kind, int line, std::string name,
                           std::vector<Expression> operands);

}  // namespace stamp::jinja
