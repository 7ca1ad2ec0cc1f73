#pragma once
#include <cstdint>

namespace stamp {

/// How one row of integer sums becomes real. With codes a, weights w stored as u = w + bias and
/// acc = sum_k a u: y = scale * column_scale * (acc - bias * sum - offset * sum_k w).
struct RowConstants {
  float scale = 0;
  int32_t sum = 0;     // of the row's codes
  int32_t offset = 0;  // stored code of the value 0
};

/// `stream` of the decoders: more calls follow, the last of which waits for all lines.
inline constexpr int kMoreStreams = 2;

}  // namespace stamp
