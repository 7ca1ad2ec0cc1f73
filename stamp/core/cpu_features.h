#pragma once
// What this processor can do, and which instruction set the program was told to use.
#include <string>
#include <string_view>
#include <vector>

namespace stamp {

/// Instruction sets in ascending order; each includes the ones before it.
enum class Isa { kScalar, kAvx2, kAvx512 };

std::string_view isa_name(Isa isa);
/// The best instruction set that both this build and this processor have.
Isa best_isa();
/// The one in use: best_isa(), or the one that the environment variable STAMP_ISA names. Throws
/// std::invalid_argument when STAMP_ISA is unknown or beyond this processor.
Isa active_isa();
/// True when bf16 products are faster than fp32 ones here and STAMP_ISA allows them: AVX512-BF16,
/// but not on Intel cores of the AMX generation whose AMX is hidden (virtual machines): their
/// vdpbf16ps runs at half the rate of fp32 multiply-adds (measured: 85 against 175 GFLOPS per
/// core).
bool has_fast_bf16();
/// Processor name, threads and instruction set, for reports.
std::string machine_description();

}  // namespace stamp
