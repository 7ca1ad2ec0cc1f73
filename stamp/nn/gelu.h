#pragma once
// Forms of GELU besides that by tanh (activations.h), in place, on all threads.
#include "stamp/core/tensor.h"

namespace stamp {

/// x times the normal distribution's cumulative function.
void exact_gelu(FloatView x);
/// x sigmoid(1.702 x).
void quick_gelu(FloatView x);

}  // namespace stamp
