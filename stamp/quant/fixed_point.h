#pragma once
// Activations that no recipe quantizes, for products with integer weights (weight-only recipes, the
// output head): 24-bit fixed point per row, as exact as fp32 and made of bytes.
#include <vector>

#include "stamp/core/tensor.h"

namespace stamp {

/// Token t is scale[t] (2^16 p0 + 2^8 p1 + p2) with signed bytes p0, p1, p2: rows 3 t, 3 t + 1 and
/// 3 t + 2, padded with zeros to `stride`.
struct FixedPointCodes {
  static constexpr int64_t kPlanes = 3;

  int64_t tokens = 0, cols = 0, stride = 0;
  std::vector<int8_t> bytes;
  std::vector<float> scale;

  const int8_t* row(int64_t i) const { return bytes.data() + i * stride; }
};

/// The rows of x; |error| <= scale = max |row| / (127 * 2^16): a step, since x / scale is itself
/// rounded to fp32. Rows below 1e-30 become 0. NaN becomes 0 and infinities saturate. Reuses out's
/// memory.
void encode_fixed_point(ConstFloatView x, FixedPointCodes& out);

}  // namespace stamp
