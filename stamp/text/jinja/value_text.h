#pragma once
// Values as text: Python's str() and json.dumps().
#include <string>

#include "stamp/text/jinja/machine.h"

namespace stamp::jinja {

/// str(value): what {{ value }} prints; nothing for an undefined value.
std::string to_text(Machine& machine, const Value& value);

struct JsonLayout {
  int indent = -1;  // blanks per level; -1: one line
  bool ascii = false, sort_keys = false;
  std::string item_separator = ", ", key_separator = ": ";
};
/// json.dumps(value); fails for what JSON does not have.
std::string to_json(Machine& machine, const Value& value, const JsonLayout& layout);

}  // namespace stamp::jinja
