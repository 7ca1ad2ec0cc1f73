#pragma once
// Memory that a thread keeps between calls: fresh pages for every product would cost some percent
// of it.
#include <cstdint>

namespace stamp {

/// At least `bytes` of 64-byte aligned memory of the calling thread, contents undefined; valid
/// until its next call.
void* scratch(int64_t bytes);

}  // namespace stamp
