#pragma once
// What this processor can do, and which instruction set the program was told to use.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stamp {

/// Instruction sets, slowest first. They form a tree, see isa_base(): AVX-VNNI (256 bits) is an
/// extension of AVX2 that processors with AVX-512 need not have; those of ARM extend scalar.
enum class Isa {
  kScalar,
  kAvx2,
  kAvxVnni,
  kAvx512,
  kAvx512Vnni,
  kAmx,
  kNeon,
  kNeonDotprod,
  kNeonI8mm
};
inline constexpr Isa kAllIsas[] = {Isa::kScalar, Isa::kAvx2,        Isa::kAvxVnni,
                                   Isa::kAvx512, Isa::kAvx512Vnni,  Isa::kAmx,
                                   Isa::kNeon,   Isa::kNeonDotprod, Isa::kNeonI8mm};

/// The name that STAMP_ISA takes: scalar, avx2, avxvnni, avx512, avx512vnni, amx, neon,
/// neon_dotprod, neon_i8mm.
std::string_view isa_name(Isa isa);
/// The instruction set that `isa` extends; scalar extends itself.
Isa isa_base(Isa isa);
/// True when `isa` is `part` or extends it.
bool isa_includes(Isa isa, Isa part);
/// True when both this build and this processor (and, for amx, the operating system) have it.
bool has_isa(Isa isa);
/// The last of kAllIsas that has_isa().
Isa best_isa();
/// The one in use: best_isa(), or the one that the environment variable STAMP_ISA names. Throws
/// std::invalid_argument when STAMP_ISA is unknown or beyond this processor.
Isa active_isa();
/// True when bf16 products are faster than fp32 ones here and STAMP_ISA allows them: AVX512-BF16,
/// but not on Intel cores of the AMX generation without AMX (hidden by a virtual machine or by
/// STAMP_ISA): their vdpbf16ps runs at half the rate of fp32 multiply-adds (measured: 85 against
/// 175 GFLOPS per core).
bool has_fast_bf16();
/// Second-level cache of a core, in bytes; 1 MiB where the system does not say.
int64_t l2_bytes();
/// Processor name, threads and instruction set, for reports.
std::string machine_description();

}  // namespace stamp
