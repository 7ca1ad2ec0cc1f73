#pragma once
// The constant tables that dispatch.cc overlays. A null entry inherits from the next lower
// instruction set.
#include "stamp/kernels/kernels.h"

namespace stamp {

extern const KernelTable kScalarKernels;
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;

}  // namespace stamp
