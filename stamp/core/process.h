#pragma once
// Facts about this process.
#include <cstdint>
#include <string>

namespace stamp {

/// Resident set in bytes; pages of mapped files count. 0 where the system does not say.
int64_t rss_bytes();

/// Largest resident set so far, in bytes; pages of mapped files count.
int64_t peak_rss_bytes();

/// The command that started this process, quoted for a shell; empty where the system does not say.
std::string command_line();

}  // namespace stamp
