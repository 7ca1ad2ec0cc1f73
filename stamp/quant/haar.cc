#include "stamp/quant/haar.h"

#include <algorithm>
#include <bit>
#include <numbers>

#include "stamp/quant/column_blocks.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = 64;
constexpr float kHalfSqrt2 = static_cast<float>(std::numbers::sqrt2 / 2);

/// Lengths before each level: n, ceil(n/2), ...; the last one is that of A_J.
std::vector<int64_t> level_lengths(int64_t tokens, int levels) {
  std::vector<int64_t> lengths{tokens};
  for (int level = 0; level < std::min(levels, haar_max_levels(tokens)); ++level) {
    lengths.push_back((lengths.back() + 1) / 2);
  }
  return lengths;
}

void copy_row(const float* from, float* to, int64_t cols) { std::copy_n(from, cols, to); }

/// One level on the first `length` rows; `details` holds length / 2 rows.
void forward_level(FloatView x, int64_t length, FloatView details) {
  const int64_t pairs = length / 2, approximations = length - pairs;
  for (int64_t i = 0; i < pairs; ++i) {
    const float *a = x.row(2 * i), *b = x.row(2 * i + 1);
    float *sum = x.row(i), *difference = details.row(i);
#pragma omp simd
    for (int64_t c = 0; c < x.cols; ++c) {
      const float left = a[c], right = b[c];
      difference[c] = (left - right) * kHalfSqrt2;
      sum[c] = (left + right) * kHalfSqrt2;
    }
  }
  if (approximations > pairs) copy_row(x.row(length - 1), x.row(pairs), x.cols);
  for (int64_t i = 0; i < pairs; ++i) copy_row(details.row(i), x.row(approximations + i), x.cols);
}

void inverse_level(FloatView x, int64_t length, FloatView details) {
  const int64_t pairs = length / 2, approximations = length - pairs;
  for (int64_t i = 0; i < pairs; ++i) copy_row(x.row(approximations + i), details.row(i), x.cols);
  if (approximations > pairs) copy_row(x.row(pairs), x.row(length - 1), x.cols);
  for (int64_t i = pairs - 1; i >= 0; --i) {  // descending: rows 2i and 2i + 1 are read before
    const float *sum = x.row(i), *difference = details.row(i);
    float *a = x.row(2 * i), *b = x.row(2 * i + 1);
#pragma omp simd
    for (int64_t c = 0; c < x.cols; ++c) {
      const float mean = sum[c], half = difference[c];
      a[c] = (mean + half) * kHalfSqrt2;
      b[c] = (mean - half) * kHalfSqrt2;
    }
  }
}

}  // namespace

int haar_max_levels(int64_t tokens) {
  return tokens <= 1 ? 0 : std::bit_width(static_cast<uint64_t>(tokens - 1));
}

void haar_forward(FloatView x, int levels) {
  const std::vector<int64_t> lengths = level_lengths(x.rows, levels);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    Matrix details(x.rows / 2, block.cols);
    for (size_t level = 0; level + 1 < lengths.size(); ++level) {
      forward_level(block, lengths[level], details.view());
    }
  });
}

void haar_inverse(FloatView x, int levels) {
  const std::vector<int64_t> lengths = level_lengths(x.rows, levels);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    Matrix details(x.rows / 2, block.cols);
    for (size_t level = lengths.size() - 1; level-- > 0;) {
      inverse_level(block, lengths[level], details.view());
    }
  });
}

std::vector<Band> haar_bands(int64_t tokens, int levels) {
  const std::vector<int64_t> lengths = level_lengths(tokens, levels);
  std::vector<Band> bands{{0, lengths.back()}};
  for (size_t level = lengths.size() - 1; level-- > 0;) {
    bands.push_back({lengths[level + 1], lengths[level] / 2});
  }
  return bands;
}

}  // namespace stamp
