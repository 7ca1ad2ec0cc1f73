#include "stamp/core/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <fmt/format.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"

namespace stamp {
namespace {

struct IsaRow {
  std::string_view name;
  Isa base;
};

constexpr std::array<IsaRow, std::size(kAllIsas)> kRows = {{
    {"scalar", Isa::kScalar},
    {"avx2", Isa::kScalar},
    {"avxvnni", Isa::kAvx2},
    {"avx512", Isa::kAvx2},
    {"avx512vnni", Isa::kAvx512},
    {"amx", Isa::kAvx512Vnni},
    {"neon", Isa::kScalar},
    {"neon_dotprod", Isa::kNeon},
    {"neon_i8mm", Isa::kNeonDotprod},
}};

#if defined(__x86_64__)
struct CpuidResult {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
CpuidResult cpuid(uint32_t leaf, uint32_t subleaf) {
  CpuidResult r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}
// Features that not every compiler's __builtin_cpu_supports knows. That the operating system saves
// their registers follows from AVX2, or from may_use_tiles().
bool has_f16c() { return (cpuid(1, 0).ecx >> 29 & 1) != 0; }
bool has_avx_vnni() { return (cpuid(7, 1).eax >> 4 & 1) != 0; }
bool has_amx_bf16() { return (cpuid(7, 0).edx >> 22 & 1) != 0; }
bool has_amx_int8() { return (cpuid(7, 0).edx >> 24 & 3) == 3; }  // and tiles

/// Linux saves tile registers only for processes that asked for them.
bool may_use_tiles() {
  constexpr int kRequestPermission = 0x1023,
                kTileData = 18;  // ARCH_REQ_XCOMP_PERM of <asm/prctl.h>
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted;
}
#endif

/// What `isa` needs beyond its base.
bool detect(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return true;
#if defined(__x86_64__)
    case Isa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    case Isa::kAvxVnni:
      return has_avx_vnni();
    case Isa::kAvx512:
      return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq");
    case Isa::kAvx512Vnni:
      return __builtin_cpu_supports("avx512vnni");
    case Isa::kAmx:
      return has_amx_int8() && may_use_tiles();
#elif defined(__aarch64__)
    case Isa::kNeon:
      return true;  // part of the architecture
    case Isa::kNeonDotprod:
      return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
    case Isa::kNeonI8mm:
      return getauxval(AT_HWCAP2) & HWCAP2_I8MM;
#endif
    default:
      return false;
  }
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown processor";
}

}  // namespace

std::string_view isa_name(Isa isa) { return kRows[static_cast<size_t>(isa)].name; }
Isa isa_base(Isa isa) { return kRows[static_cast<size_t>(isa)].base; }

bool isa_includes(Isa isa, Isa part) {
  while (isa != part && isa != Isa::kScalar) isa = isa_base(isa);
  return isa == part;
}

bool has_isa(Isa isa) { return detect(isa) && (isa == Isa::kScalar || has_isa(isa_base(isa))); }

Isa best_isa() {
  Isa best = Isa::kScalar;
  for (const Isa isa : kAllIsas)
    if (has_isa(isa)) best = isa;
  return best;
}

Isa active_isa() {
  static const Isa active = [] {
    const char* wanted = std::getenv("STAMP_ISA");
    if (!wanted || !*wanted) return best_isa();
    std::string names;
    for (const Isa isa : kAllIsas) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", isa_name(isa));
      if (isa_name(isa) != wanted) continue;
      if (has_isa(isa)) return isa;
      throw_argument("STAMP_ISA: this processor has no {}; best is {}", wanted,
                     isa_name(best_isa()));
    }
    throw_argument("STAMP_ISA: unknown instruction set '{}', expected one of {}", wanted, names);
  }();
  return active;
}

bool has_fast_bf16() {
#if defined(__x86_64__)
  if (!isa_includes(active_isa(), Isa::kAvx512Vnni) || !__builtin_cpu_supports("avx512bf16"))
    return false;
  return !__builtin_cpu_is("intel") || __builtin_cpu_is("cooperlake") ||
         (active_isa() == Isa::kAmx && has_amx_bf16());
#else
  return false;
#endif
}

int64_t l2_bytes() {
  static const int64_t bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  return bytes > 0 ? bytes : int64_t{1} << 20;
}

std::string machine_description() {
  return fmt::format("{}, {} threads, {}{}", processor_name(), threads(), isa_name(active_isa()),
                     has_fast_bf16() ? " + bf16" : "");
}

}  // namespace stamp
