#include "stamp/core/cpu_features.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"

namespace stamp {
namespace {

constexpr std::array<std::string_view, 3> kNames = {"scalar", "avx2", "avx512"};

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

}  // namespace

std::string_view isa_name(Isa isa) { return kNames[static_cast<size_t>(isa)]; }

Isa best_isa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return Isa::kAvx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("f16c"))
    return Isa::kAvx2;
#endif
  return Isa::kScalar;
}

Isa active_isa() {
  static const Isa isa = [] {
    const char* wanted = std::getenv("STAMP_ISA");
    if (!wanted || !*wanted) return best_isa();
    for (size_t i = 0; i < kNames.size(); ++i)
      if (kNames[i] == wanted) {
        if (static_cast<Isa>(i) > best_isa())
          throw_argument("STAMP_ISA: this processor has no {}; best is {}", wanted,
                         isa_name(best_isa()));
        return static_cast<Isa>(i);
      }
    throw_argument("STAMP_ISA: unknown instruction set '{}', expected one of {}", wanted,
                   fmt::join(kNames, ", "));
  }();
  return isa;
}

bool has_fast_bf16() {
#if defined(__x86_64__)
  if (active_isa() < Isa::kAvx512 || !__builtin_cpu_supports("avx512bf16")) return false;
  return !__builtin_cpu_is("intel") || __builtin_cpu_supports("amx-bf16") ||
         __builtin_cpu_is("cooperlake");
#else
  return false;
#endif
}

std::string machine_description() {
  return fmt::format("{}, {} threads, {}{}", processor_name(), threads(), isa_name(active_isa()),
                     has_fast_bf16() ? " + bf16" : "");
}

}  // namespace stamp
