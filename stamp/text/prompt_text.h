#pragma once
// How diffusion pipelines prepare prompts: Python's str.lower() and str.strip().
#include <string>
#include <string_view>

namespace stamp {

/// Lower case of valid UTF-8 by Unicode's simple mappings, with the two special cases of Python:
/// U+0130 becomes "i" and U+0307, and a capital sigma at the end of a word the final sigma.
std::string lower_case(std::string_view text);
/// Without white space (in Python's sense: White_Space and U+001C .. U+001F) at both ends.
std::string strip(std::string_view text);

}  // namespace stamp
