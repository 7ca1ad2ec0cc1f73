#pragma once
// Walsh-Hadamard transform along the token axis in sequency order.
#include <vector>

#include "stamp/core/tensor.h"

namespace stamp {

/// In place. A length that is no power of two is cut into the powers of its binary expansion,
/// largest first, each transformed alone; all rows are then sorted by sign changes divided by block
/// length, larger block first on ties. Orthonormal; O(rows log rows * cols).
void wht_forward(FloatView x, int levels);
void wht_inverse(FloatView x, int levels);

/// Where one output row comes from.
struct WhtRow {
  int64_t source;  // block start + index in the block's natural (Sylvester) order
  int64_t block;   // block length
};
/// Output rows in order.
std::vector<WhtRow> wht_order(int64_t tokens);

}  // namespace stamp
