#pragma once
// The subset of Jinja that chat templates of language models are written in. Templates come with
// models from anywhere: work, nesting and output are bounded, and nothing outside is reachable.
//
// Tags: for (with if, else, break, continue), if, set (also blocks and namespace fields), macro,
// filter, generation, raw. Expressions are complete but for powers, and tuples are
// lists; filters, tests, methods and functions are listed in library.h. Meaning and blanks are
// those of Jinja 3.1 as transformers configures it.
#include <ctime>
#include <string>
#include <string_view>

#include "stamp/text/jinja/syntax.h"

namespace stamp::jinja {

/// What one rendering may use: far beyond real templates (a long conversation takes some 10^5
/// steps) and spent within about a second.
inline constexpr int64_t kMaxSteps = int64_t{1} << 23;

class Template {
 public:
  /// `name` stands for the template in errors. Throws std::runtime_error for syntax errors and for
  /// tags that are not supported, naming the line.
  Template(std::string_view source, std::string name);
  /// Renders with the members of the object `variables`; strftime_now() formats `now`. Throws
  /// std::runtime_error naming the line: raise_exception(), wrong types, exhausted limits.
  std::string render(const OrderedJson& variables, const std::tm& now,
                     int64_t max_steps = kMaxSteps) const;

 private:
  std::string name_;
  Block body_;
};

}  // namespace stamp::jinja
