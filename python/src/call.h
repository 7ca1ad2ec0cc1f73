#pragma once
// Calls into the library: without Python's lock, ended by Ctrl-C.
#include <signal.h>

#include <optional>
#include <stdexcept>

#include "module.h"
#include "stamp/core/progress.h"

namespace stamp::python {

/// While it lives, SIGINT sets interrupted() instead of waiting for the interpreter. Only Python's
/// main thread gets signals; elsewhere this does nothing.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  /// Raises KeyboardInterrupt after a signal.
  void check();

 private:
  bool active_, reported_ = false;
  struct sigaction previous_ {};
};

/// body() without the lock. Work that Ctrl-C ended raises KeyboardInterrupt, whatever it returned
/// or threw.
template <class Body>
auto call(Body&& body) {
  InterruptScope scope;
  try {
    auto result = [&] {
      const nb::gil_scoped_release release;
      return body();
    }();
    scope.check();
    return result;
  } catch (const std::exception&) {
    scope.check();
    throw;
  }
}

}  // namespace stamp::python
