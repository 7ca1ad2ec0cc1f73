#pragma once
// The only door to SIMD. One table of function pointers per instruction set; the scalar one is the
// specification. Kernels take raw pointers, sizes and strides (in elements), are noexcept and
// single-threaded.
#include <cstdint>

#include "stamp/core/cpu_features.h"
#include "stamp/core/dtype.h"
#include "stamp/kernels/packed_panel.h"
#include "stamp/kernels/row_constants.h"

namespace stamp {

struct KernelTable {
#define STAMP_KERNEL(name, result, ...) result (*name)(__VA_ARGS__) noexcept = nullptr;
#include "stamp/kernels/kernels.def"
#undef STAMP_KERNEL
};

/// The table of the active instruction set (see active_isa()); every entry is set.
const KernelTable& kernels();
/// The table of one instruction set overlaid on those it extends; for conformance tests and
/// benchmarks. Throws std::invalid_argument unless has_isa(isa).
const KernelTable& kernels_of(Isa isa);

}  // namespace stamp
