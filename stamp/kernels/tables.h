#pragma once
// The constant tables that dispatch.cc overlays. A null entry inherits from the
// instruction set that this one extends, isa_base().
#include "stamp/kernels/kernels.h"

namespace stamp {

extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvxVnniKernels;
extern const KernelTable kAvx512Kernels;
extern const KernelTable kAvx512VnniKernels;
extern const KernelTable kAmxKernels;
extern const KernelTable kNeonKernels;
extern const KernelTable kNeonDotprodKernels;
extern const KernelTable kNeonI8mmKernels;

}  // namespace stamp
