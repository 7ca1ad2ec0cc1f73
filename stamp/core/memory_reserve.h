#pragma once
// What happens when there is no more memory.
#include <cstdint>

namespace stamp {

/// For programs: sets memory aside (address space; nothing is touched) that the first allocation
/// which fails gives back before it throws std::bad_alloc. Destructors that allocate, as those of
/// JSON values do, and error messages then find some instead of ending the program. Installs a
/// handler of operator new. Call again after an error to set memory aside for the next one.
void keep_memory_reserve();

/// As keep_memory_reserve(), where that has been called before; otherwise nothing.
void renew_memory_reserve();

/// Throws std::bad_alloc when so many bytes of address space are not to be had. For calls of
/// libraries that crash without memory; far from being used up, it is only one system call more.
void require_address_space(int64_t bytes);

}  // namespace stamp
