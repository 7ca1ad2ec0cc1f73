#pragma once
// What all fuzz targets share: the entry point that libFuzzer and replay.cc call, and what counts
// as a defect.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string_view>
#include <typeinfo>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace stamp::fuzz {

/// Name of the source in errors.
inline constexpr const char* kWhere = "input";

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Ends the program, which libFuzzer and ctest report, unless `holds`.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

/// Runs `body`, which reads what nobody has checked: true when it returns, false when it throws
/// exactly `Documented`. Classes derived from that are what the reader failed to foresee
/// (std::system_error is a std::runtime_error, too), as is every other exception: all these end the
/// program.
template <class Documented = std::runtime_error, class Body>
bool accepted(Body&& body) {
  try {
    body();
    return true;
  } catch (const std::exception& error) {
    if (typeid(error) == typeid(Documented)) return false;
    std::fprintf(stderr, "fuzz: undocumented %s: %s\n", typeid(error).name(), error.what());
    std::abort();
  }
}

}  // namespace stamp::fuzz
