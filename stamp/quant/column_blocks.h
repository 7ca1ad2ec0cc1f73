#pragma once
// Work on a matrix in blocks of neighbouring columns, on all threads.
#include <algorithm>

#include "stamp/core/parallel.h"
#include "stamp/core/tensor.h"

namespace stamp {

/// Matrices below this many elements are not worth waking the other threads for.
inline constexpr int64_t kSmallMatrix = int64_t{1} << 15;

/// Calls body(block) for views of at most `width` columns that together cover x; columns of
/// different blocks are independent, so the result does not depend on the number of threads.
template <class Body>
void for_each_column_block(FloatView x, int64_t width, Body&& body) {
  const auto run = [&](int64_t block) {
    const int64_t first = block * width;
    body(x.cols_from(first, std::min(width, x.cols - first)));
  };
  const int64_t blocks = (x.cols + width - 1) / width;
  if (x.rows * x.cols >= kSmallMatrix) return parallel_for(blocks, run);
  for (int64_t block = 0; block < blocks; ++block) run(block);
}

}  // namespace stamp
