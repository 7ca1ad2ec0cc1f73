#include "stamp/quant/haar.h"

#include <algorithm>
#include <bit>

#include "stamp/kernels/kernels.h"
#include "stamp/quant/column_blocks.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = 64;
constexpr int kTileLevels = 5;

/// Calls body(tile) for runs of 2^kTileLevels rows, on all threads.
template <class Body>
void for_each_tile(FloatView x, Body&& body) {
  constexpr int64_t kRows = int64_t{1} << kTileLevels;
  const auto run = [&](int64_t i) {
    body(x.rows_from(i * kRows, std::min(kRows, x.rows - i * kRows)));
  };
  const int64_t tiles = (x.rows + kRows - 1) / kRows;
  if (x.rows * x.cols >= kSmallMatrix) return parallel_for(tiles, run);
  for (int64_t i = 0; i < tiles; ++i) run(i);
}

/// The approximations after kTileLevels levels, which the further levels transform.
FloatView coarse_rows(FloatView x) {
  constexpr int64_t kRows = int64_t{1} << kTileLevels;
  return {x.data, (x.rows + kRows - 1) / kRows, x.cols, x.stride * kRows};
}

}  // namespace

int haar_max_levels(int64_t tokens) {
  return tokens <= 1 ? 0 : std::bit_width(static_cast<uint64_t>(tokens - 1));
}

void haar_lift(FloatView x, int levels) {
  for_each_tile(x, [&](FloatView tile) {
    kernels().haar_lift(tile.data, tile.stride, tile.data, tile.stride, tile.rows, tile.cols,
                        std::min(levels, kTileLevels));
  });
  if (levels > kTileLevels && x.rows > 1) haar_lift(coarse_rows(x), levels - kTileLevels);
}

void haar_unlift(FloatView x, int levels) {
  if (levels > kTileLevels && x.rows > 1) haar_unlift(coarse_rows(x), levels - kTileLevels);
  for_each_tile(x, [&](FloatView tile) {
    kernels().haar_unlift(tile.data, tile.stride, tile.rows, tile.cols,
                          std::min(levels, kTileLevels));
  });
}

int64_t haar_row(int64_t t, int64_t tokens, int levels) {
  levels = std::min(levels, haar_max_levels(tokens));
  const int passed = t == 0 ? levels : std::countr_zero(static_cast<uint64_t>(t));
  if (passed >= levels) return t >> levels;
  const int64_t size = int64_t{2} << passed;  // tokens of a detail of this level
  return (tokens + size - 1) / size + t / size;
}

void haar_forward(FloatView x, int levels) {
  levels = std::min(levels, haar_max_levels(x.rows));
  for_each_column_block(x, kColumns, [&](FloatView block) {
    Matrix lifted(block.rows, block.cols);
    kernels().haar_lift(block.data, block.stride, lifted.data(), lifted.cols(), block.rows,
                        block.cols, levels);
    for (int64_t t = 0; t < block.rows; ++t)
      std::copy_n(lifted.row(t), block.cols, block.row(haar_row(t, block.rows, levels)));
  });
}

void haar_inverse(FloatView x, int levels) {
  levels = std::min(levels, haar_max_levels(x.rows));
  for_each_column_block(x, kColumns, [&](FloatView block) {
    Matrix lifted(block.rows, block.cols);
    for (int64_t t = 0; t < block.rows; ++t)
      std::copy_n(block.row(haar_row(t, block.rows, levels)), block.cols, lifted.row(t));
    kernels().haar_unlift(lifted.data(), lifted.cols(), block.rows, block.cols, levels);
    for (int64_t t = 0; t < block.rows; ++t) std::copy_n(lifted.row(t), block.cols, block.row(t));
  });
}

std::vector<Band> haar_bands(int64_t tokens, int levels) {
  levels = std::min(levels, haar_max_levels(tokens));
  const auto length = [&](int level) {  // rows of A_level
    return (tokens + (int64_t{1} << level) - 1) >> level;
  };
  std::vector<Band> bands{{0, length(levels)}};
  for (int level = levels; level > 0; --level)
    bands.push_back({length(level), length(level - 1) - length(level)});
  return bands;
}

}  // namespace stamp
