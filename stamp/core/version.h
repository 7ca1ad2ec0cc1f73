#pragma once
// Which build this is.
#include <string>

namespace stamp {

/// "0.1.0".
std::string version();
/// Short git commit of the sources when configured, "-dirty" appended when they had changes;
/// "unknown" outside git.
std::string build_commit();

}  // namespace stamp
