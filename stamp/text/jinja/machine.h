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

/// What one rendering may use: far beyond real templates (a long conversation takes some 10^5
/// steps) and spent within about a second.
constexpr int64_t kMaxSteps = int64_t{1} << 23;
constexpr size_t kBytesPerStep = 16;
constexpr int kMaxValueDepth = 64;
constexpr int kMaxRecursion = 500;      // expressions, blocks and macro calls within each other
constexpr int64_t kMaxRange = 100'000;  // elements of range(), as in Jinja's sandbox

class Machine {
 public:
  Machine(std::string name, std::tm now) : name_(std::move(name)), now_(now) {}

  /// Throws std::runtime_error "NAME: line N: MESSAGE".
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> message, Args&&... args) const {
    throw std::runtime_error(fmt::format("{}: line {}: {}", name_, line_,
                                         fmt::format(message, std::forward<Args>(args)...)));
  }
  /// Counts a step that handles `bytes` bytes.
  void charge(size_t bytes = 0) {
    steps_ += 1 + static_cast<int64_t>(bytes / kBytesPerStep);
    if (steps_ > kMaxSteps) fail("the template runs too long");
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
  int64_t steps_ = 0;
  std::deque<Namespace> namespaces_;
};

}  // namespace stamp::jinja
