#pragma once
// What happens when there is no more memory.
#include <cstdint>

namespace stamp {

/// For programs: sets two pieces of memory aside (address space; nothing is touched). The first
/// allocation that fails gets one of them and goes on, because an exception in the midst of a
/// destructor that allocates, as those of JSON values do, would end the program;
/// require_memory() throws from then on. The next one that fails gives the other back, for
/// destructors and the error's message, and throws std::bad_alloc. Installs a handler of operator
/// new. Call again after an error to set memory aside for the next one.
void keep_memory_reserve();

/// As keep_memory_reserve(), where that has been called before; otherwise nothing.
void renew_memory_reserve();

/// Throws std::bad_alloc when an allocation has needed the reserve since it was set aside. For
/// whatever takes much memory, where an exception may be thrown.
void require_memory();

/// Throws std::bad_alloc when so many bytes of address space are not to be had. For calls of
/// libraries that crash without memory; far from being used up, it is only one system call more.
void require_address_space(int64_t bytes);

}  // namespace stamp
