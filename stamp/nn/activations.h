#pragma once
// Elementwise functions of networks, in place, on all threads.
#include "stamp/core/tensor.h"

namespace stamp {

void relu(FloatView x);
void silu(FloatView x);
/// The tanh form of GELU.
void gelu(FloatView x);
/// GELU itself: x times the normal distribution's cumulative function.
void exact_gelu(FloatView x);
/// x sigmoid(1.702 x).
void quick_gelu(FloatView x);
/// gate = gelu(gate) * up.
void gelu_multiply(FloatView gate, ConstFloatView up);

}  // namespace stamp
