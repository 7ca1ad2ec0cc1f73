#include "stamp/quant/wht.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "stamp/quant/column_blocks.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = 64;

/// Powers of two that add up to n, largest first.
std::vector<int64_t> binary_expansion(int64_t n) {
  std::vector<int64_t> blocks;
  for (; n > 0; n -= blocks.back()) {
    blocks.push_back(static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(n))));
  }
  return blocks;
}

/// Sylvester row with `changes` sign changes: the bit-reversed Gray code.
int64_t natural_index(int64_t changes, int64_t block) {
  const int64_t gray = changes ^ (changes >> 1);
  int64_t index = 0;
  for (int64_t bit = 1, mirror = block / 2; bit < block; bit *= 2, mirror /= 2) {
    if (gray & bit) index |= mirror;
  }
  return index;
}

void add_subtract(float* a, float* b, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) {
    const float sum = a[i] + b[i], difference = a[i] - b[i];
    a[i] = sum;
    b[i] = difference;
  }
}

/// Sylvester-Hadamard of `block` contiguous rows, not normalised.
void natural_wht(float* rows, int64_t block, int64_t cols) {
  for (int64_t half = 1; half < block; half *= 2) {
    for (int64_t first = 0; first < block; first += 2 * half) {
      add_subtract(rows + first * cols, rows + (first + half) * cols, half * cols);
    }
  }
}

void natural_wht_of_all_blocks(Matrix& rows) {
  int64_t first = 0;
  for (const int64_t block : binary_expansion(rows.rows())) {
    natural_wht(rows.row(first), block, rows.cols());
    first += block;
  }
}

void scaled_copy(const float* from, float* to, int64_t block, int64_t cols) {
  const float scale = static_cast<float>(1 / std::sqrt(static_cast<double>(block)));
#pragma omp simd
  for (int64_t c = 0; c < cols; ++c) to[c] = from[c] * scale;
}

}  // namespace

std::vector<WhtRow> wht_order(int64_t tokens) {
  struct Keyed {
    double sequency;
    WhtRow row;
  };
  std::vector<Keyed> keyed;
  int64_t first = 0;
  for (const int64_t block : binary_expansion(tokens)) {
    for (int64_t changes = 0; changes < block; ++changes) {
      keyed.push_back({static_cast<double>(changes) / static_cast<double>(block),
                       {first + natural_index(changes, block), block}});
    }
    first += block;
  }
  std::stable_sort(keyed.begin(), keyed.end(), [](const Keyed& a, const Keyed& b) {
    return a.sequency < b.sequency;  // stable: larger blocks were pushed first
  });
  std::vector<WhtRow> rows;
  for (const Keyed& entry : keyed) rows.push_back(entry.row);
  return rows;
}

void wht_forward(FloatView x, int) {
  const std::vector<WhtRow> order = wht_order(x.rows);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    Matrix scratch = Matrix::copy_of(block);
    natural_wht_of_all_blocks(scratch);
    for (int64_t i = 0; i < x.rows; ++i) {
      const WhtRow& row = order[static_cast<size_t>(i)];
      scaled_copy(scratch.row(row.source), block.row(i), row.block, block.cols);
    }
  });
}

void wht_inverse(FloatView x, int) {
  const std::vector<WhtRow> order = wht_order(x.rows);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    Matrix scratch(x.rows, block.cols);
    for (int64_t i = 0; i < x.rows; ++i) {
      const WhtRow& row = order[static_cast<size_t>(i)];
      scaled_copy(block.row(i), scratch.row(row.source), row.block, block.cols);
    }
    natural_wht_of_all_blocks(scratch);
    for (int64_t i = 0; i < x.rows; ++i) std::copy_n(scratch.row(i), block.cols, block.row(i));
  });
}

}  // namespace stamp
