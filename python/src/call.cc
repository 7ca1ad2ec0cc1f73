#include "call.h"

#include <unistd.h>

namespace stamp::python {

InterruptScope::InterruptScope() : active_(getpid() == gettid()) {
  if (!active_) return;
  use_signal_stack();
  struct sigaction action {};
  action.sa_handler = [](int) { interrupt(); };
  action.sa_flags = SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous_);
}

InterruptScope::~InterruptScope() {
  if (!active_) return;
  sigaction(SIGINT, &previous_, nullptr);
  const bool late = interrupted() && !reported_;  // after the work had ended: Python's to handle
  clear_interrupt();
  if (late) raise(SIGINT);
}

void InterruptScope::check() {
  if (!active_ || !interrupted()) return;
  reported_ = true;
  PyErr_SetNone(PyExc_KeyboardInterrupt);
  throw nb::python_error();
}

}  // namespace stamp::python
