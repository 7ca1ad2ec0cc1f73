#pragma once
// Facts about this process.
#include <cstdint>
#include <string>

namespace stamp {

/// Largest resident set so far, in bytes; pages of mapped files count.
int64_t peak_rss_bytes();

/// The command that started this process, quoted for a shell; empty where the system does not say.
std::string command_line();

}  // namespace stamp
