#pragma once
// Errors of the library. It never exits or aborts: callers' mistakes are std::invalid_argument,
// everything that comes from files or the system is std::runtime_error. Messages read
// "where: what, expected X, got Y; hint".
#include <fmt/format.h>

#include <stdexcept>

namespace stamp {

/// Throws std::invalid_argument: the caller passed something that cannot work.
template <class... Args>
[[noreturn]] void throw_argument(fmt::format_string<Args...> message, Args&&... args) {
  throw std::invalid_argument(fmt::format(message, std::forward<Args>(args)...));
}

/// Throws std::runtime_error: a file or the system is not as it should be.
template <class... Args>
[[noreturn]] void throw_runtime(fmt::format_string<Args...> message, Args&&... args) {
  throw std::runtime_error(fmt::format(message, std::forward<Args>(args)...));
}

}  // namespace stamp
