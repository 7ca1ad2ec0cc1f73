#pragma once
// Python's operators on values. All fail for operands that Python rejects.
#include "stamp/text/jinja/machine.h"

namespace stamp::jinja {

/// `op`: "not", "-", "+".
Value unary(Machine& machine, std::string_view op, const Value& value);
/// `op`: "+", "-", "*", "/", "//", "%", "~".
Value binary(Machine& machine, std::string_view op, const Value& left, const Value& right);
/// `op`: "==", "!=", "<", "<=", ">", ">=", "in", "not in".
bool compare(Machine& machine, std::string_view op, const Value& left, const Value& right);
/// object[index]; an undefined value when absent.
Value element(Machine& machine, const Value& object, const Value& index);
/// object[begin:end:step] of a list or string; none where absent.
Value slice(Machine& machine, const Value& object, const Value& begin, const Value& end,
            const Value& step);

}  // namespace stamp::jinja
