#pragma once
// Integer products behind Linear and the output head: panel by panel, codes to sums to real values
// while the panel's tile is in cache (STAMP section 5).
#include "stamp/quant/activation_codes.h"
#include "stamp/quant/fixed_point.h"
#include "stamp/quant/packed_weight.h"

namespace stamp {

/// How a quantized recipe is executed: with packed integers wherever the recipe allows, or
/// simulated in fp32. Sums of products of codes are integers below 2^24 and so the same in fp32:
/// both ways give the same bits.
enum class Execution { kInteger, kSimulated };

/// One weight that multiplies a shared input.
struct IntegerProduct {
  const PackedWeight* weight = nullptr;
  std::span<const float> bias;  // [out_dim]; empty: none
  FloatView out;                // [tokens, out_dim]
};

/// out := L^-1 (X^ W^T) + bias of every product, or out += with `add`. All panels of all products
/// share one parallel loop. The result does not depend on the number of threads. No aliasing.
/// Throws std::invalid_argument when shapes do not fit.
void integer_matmul(const ActivationCodes& x, std::span<const IntegerProduct> products, bool add,
                    Execution execution = Execution::kInteger);
void integer_matmul(const FixedPointCodes& x, std::span<const IntegerProduct> products, bool add);
/// out := silu(gate) * up for the two products of one input (their `out` is not used).
void integer_matmul_gated(const ActivationCodes& x, const IntegerProduct& gate,
                          const IntegerProduct& up, FloatView out,
                          Execution execution = Execution::kInteger);

}  // namespace stamp
