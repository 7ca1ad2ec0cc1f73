#pragma once
// What a running template may use up, and where it is: shared by the interpreter and its library of
// filters, tests, methods and functions.
#include <fmt/format.h>

#include <ctime>
#include <deque>
#include <stdexcept>
#include <string>

#include "stamp/text/jinja/value.h"

namespace stamp::jinja {

constexpr size_t kBytesPerStep = 16;
constexpr int kMaxValueDepth = 64;
constexpr int kMaxRecursion = 500;  // expressions, blocks, macro calls, filters within each other
constexpr int64_t kMaxRange = 100'000;  // elements of range(), as in Jinja's sandbox

class Machine {
 public:
  Machine(std::string name, std::tm now, int64_t max_steps)
      : name_(std::move(name)), now_(now), max_steps_(max_steps) {}
  /// Counts one more recursion while it lives.
  struct Recursion {
    explicit Recursion(Machine& machine) : depth(machine.depth_) {
      if (depth == kMaxRecursion) machine.fail("the template recurses too deep");
      ++depth;
    }
    ~Recursion() { --depth; }
    int& depth;
  };

  /// Throws std::runtime_error "NAME: line N: MESSAGE".
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) const {
    throw std::runtime_error(fmt::format("{}: line {}: {}", name_, line_,
                                         fmt::format(message, std::forward<Args>(args)...)));
  }
  /// Counts a step that handles `bytes` bytes.
  void charge(size_t bytes = 0) {
    steps_ += 1 + static_cast<int64_t>(bytes / kBytesPerStep);
    if (steps_ > max_steps_) fail("the template runs too long");
  }
  /// Counts the making of a value and bounds its nesting.
  Value made(Value value) {
    charge(value.size());
    if (value.depth() > kMaxValueDepth) fail("values are nested deeper than {}", kMaxValueDepth);
    return value;
  }
  Namespace* make_namespace(Dict fields) {
    charge(64 + fields.entries.size() * 64);
    return &namespaces_.emplace_back(std::move(fields));
  }
  void set_line(int line) { line_ = line; }
  int line() const { return line_; }
  const std::tm& now() const { return now_; }

 private:
  std::string name_;
  std::tm now_;
  int line_ = 1;
  int64_t max_steps_, steps_ = 0;
  int depth_ = 0;
  std::deque<Namespace> namespaces_;
};

}  // namespace stamp::jinja
