#pragma once
// Loops over the rows of a matrix.
#include <algorithm>

#include "stamp/core/parallel.h"

namespace stamp {

/// Calls body(i) for every row i in [0, rows) of `cols` elements: on all threads, but on the
/// calling one when the work is not worth waking the others.
template <class Body>
void for_each_row(int64_t rows, int64_t cols, Body&& body) {
  constexpr int64_t kElementsPerTask = 1 << 14;
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, cols));
  parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace stamp
