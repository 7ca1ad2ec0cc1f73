#pragma once
// Facts about this process.
#include <cstdint>

namespace stamp {

/// Largest resident set so far, in bytes; pages of mapped files count.
int64_t peak_rss_bytes();

}  // namespace stamp
