#include "stamp/quant/grid_transform.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/quant/column_blocks.h"
#include "stamp/quant/dct.h"
#include "stamp/quant/haar.h"

namespace stamp {
namespace {

constexpr int64_t kColumns = 64;

/// Row i or column j of the upper left part [height, width] of a grid with rows of `pitch` tokens.
FloatView grid_row(FloatView x, int64_t i, int64_t width, int64_t pitch) {
  return x.rows_from(i * pitch, width);
}
FloatView grid_column(FloatView x, int64_t j, int64_t height, int64_t pitch) {
  return {x.row(j), height, x.cols, x.stride * pitch};
}

int max_levels(const TokenGrid& grid) { return haar_max_levels(std::max(grid.height, grid.width)); }

/// The approximation block before level `level` + 1.
TokenGrid coarse(const TokenGrid& grid, int level) {
  const auto halved = [&](int64_t n) { return (n + (int64_t{1} << level) - 1) >> level; };
  return {halved(grid.height), halved(grid.width)};
}

/// A rectangle of coefficients as one level leaves them: [first_row, end_row) x [first_col,
/// end_col) of the grid.
struct Subband {
  int64_t first_row, end_row, first_col, end_col;
  int64_t count() const { return (end_row - first_row) * (end_col - first_col); }
};

std::vector<Subband> subbands(const TokenGrid& grid, int levels) {
  const TokenGrid last = coarse(grid, levels);
  std::vector<Subband> result{{0, last.height, 0, last.width}};
  for (int level = levels; level > 0; --level) {
    const TokenGrid low = coarse(grid, level), all = coarse(grid, level - 1);
    result.push_back({low.height, all.height, 0, low.width});
    result.push_back({0, low.height, low.width, all.width});
    result.push_back({low.height, all.height, low.width, all.width});
  }
  std::erase_if(result, [](const Subband& band) { return band.count() == 0; });
  return result;
}

int allowed_levels(const TokenGrid& grid, const TransformParams& params) {
  return std::min(params.levels, max_levels(grid));
}

/// TokenGrid place of every row of the output.
std::vector<int64_t> haar2d_order(const TokenGrid& grid, int levels) {
  std::vector<int64_t> order;
  for (const Subband& band : subbands(grid, levels))
    for (int64_t i = band.first_row; i < band.end_row; ++i)
      for (int64_t j = band.first_col; j < band.end_col; ++j) order.push_back(i * grid.width + j);
  return order;
}

std::vector<int64_t> dct2d_order(const TokenGrid& grid) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < grid.height * grid.width; ++i) order.push_back(i);
  const auto frequency = [&](int64_t place) {
    return place / grid.width * grid.width + place % grid.width * grid.height;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return frequency(a) < frequency(b); });
  return order;
}

void gather_rows(FloatView x, const std::vector<int64_t>& order) {
  const Matrix from = Matrix::copy_of(x);
  for (int64_t i = 0; i < x.rows; ++i)
    std::copy_n(from.row(order[static_cast<size_t>(i)]), x.cols, x.row(i));
}

void scatter_rows(FloatView x, const std::vector<int64_t>& order) {
  const Matrix from = Matrix::copy_of(x);
  for (int64_t i = 0; i < x.rows; ++i)
    std::copy_n(from.row(i), x.cols, x.row(order[static_cast<size_t>(i)]));
}

/// `transform` along the rows, then the columns of `part`; `pitch` tokens lie in a row of the grid.
template <class Transform>
void along_both(FloatView x, const TokenGrid& part, int64_t pitch, Transform&& transform) {
  for (int64_t i = 0; i < part.height; ++i) transform(grid_row(x, i, part.width, pitch));
  for (int64_t j = 0; j < part.width; ++j) transform(grid_column(x, j, part.height, pitch));
}

/// Lines of every `step`-th token of a patch, along its width or height, as body(rows). All lines
/// at once where they lie behind one another.
template <class Body>
void along_width(FloatView patch, int64_t side, int64_t step, Body&& body) {
  if (step == 1) return body(patch);
  for (int64_t i = 0; i < side; i += step)
    body(FloatView{patch.row(i * side), side / step, patch.cols, patch.stride * step});
}
template <class Body>
void along_height(FloatView patch, int64_t side, int64_t step, Body&& body) {
  const int64_t pitch = patch.stride * side;
  if (step == 1 && patch.stride == patch.cols)
    return body(FloatView{patch.data, side, pitch, pitch});
  for (int64_t j = 0; j < side; j += step)
    body(FloatView{patch.row(j), side / step, patch.cols, pitch * step});
}

/// Row of haar2d_forward() that ends at place (i, j) of the grid when every level works in place.
class LiftedRows {
 public:
  LiftedRows(const TokenGrid& grid, int levels) : grid_(grid), levels_(levels) {
    const std::vector<int64_t> order = haar2d_order(grid, levels);
    row_.resize(order.size());
    for (size_t r = 0; r < order.size(); ++r)
      row_[static_cast<size_t>(order[r])] = static_cast<int32_t>(r);
  }
  int32_t operator()(int64_t i, int64_t j) const {
    int level = 0;  // at which (i, j) stops being an approximation
    while (level < levels_ && ((i | j) >> level) % 2 == 0) ++level;
    const TokenGrid low = coarse(grid_, std::min(level + 1, levels_));
    const auto packed = [&](int64_t place, int64_t halves) {
      place >>= level;
      return level == levels_ ? place : place % 2 * halves + place / 2;
    };
    return row_[static_cast<size_t>(packed(i, low.height) * grid_.width + packed(j, low.width))];
  }

 private:
  TokenGrid grid_;
  int levels_;
  std::vector<int32_t> row_;
};

}  // namespace

TokenGrid grid_of(int64_t tokens, int64_t width) {
  if (width == 0) {
    width = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(tokens))));
    while (tokens % width != 0) ++width;
  }
  if (tokens % width != 0)
    throw_argument("grid: {} tokens do not fill rows of {}; grid_width must divide them", tokens,
                   width);
  return {tokens / width, width};
}

void haar2d_forward(FloatView x, const TransformParams& params) {
  const TokenGrid grid = grid_of(x.rows, params.grid_width);
  const int levels = allowed_levels(grid, params);
  const std::vector<int64_t> order = haar2d_order(grid, levels);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    for (int level = 0; level < levels; ++level)
      along_both(block, coarse(grid, level), grid.width,
                 [](FloatView line) { haar_forward(line, 1); });
    gather_rows(block, order);
  });
}

void haar2d_inverse(FloatView x, const TransformParams& params) {
  const TokenGrid grid = grid_of(x.rows, params.grid_width);
  const int levels = allowed_levels(grid, params);
  const std::vector<int64_t> order = haar2d_order(grid, levels);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    scatter_rows(block, order);
    for (int level = levels; level-- > 0;) {
      const TokenGrid part = coarse(grid, level);
      for (int64_t j = 0; j < part.width; ++j)
        haar_inverse(grid_column(block, j, part.height, grid.width), 1);
      for (int64_t i = 0; i < part.height; ++i)
        haar_inverse(grid_row(block, i, part.width, grid.width), 1);
    }
  });
}

std::vector<Band> haar2d_bands(int64_t tokens, const TransformParams& params) {
  const TokenGrid grid = grid_of(tokens, params.grid_width);
  std::vector<Band> bands;
  int64_t first = 0;
  for (const Subband& band : subbands(grid, allowed_levels(grid, params))) {
    bands.push_back({first, band.count()});
    first += band.count();
  }
  return bands;
}

GridPatches haar2d_patches(int64_t tokens, const TransformParams& params) {
  const TokenGrid grid = grid_of(tokens, params.grid_width);
  GridPatches patches{.levels = allowed_levels(grid, params)};
  const int64_t side = int64_t{1} << patches.levels;
  if (side == 1 || grid.height % side != 0 || grid.width % side != 0) return patches;
  const LiftedRows row(grid, patches.levels);
  for (int64_t top = 0; top < grid.height; top += side)
    for (int64_t left = 0; left < grid.width; left += side)
      for (int64_t i = top; i < top + side; ++i)
        for (int64_t j = left; j < left + side; ++j) {
          patches.tokens.push_back(static_cast<int32_t>(i * grid.width + j));
          patches.rows.push_back(row(i, j));
        }
  return patches;
}

void haar2d_lift(FloatView patch, int levels) {
  const int64_t side = int64_t{1} << levels;
  const auto lift = [](FloatView lines) {
    kernels().haar_lift(lines.data, lines.stride, lines.data, lines.stride, lines.rows, lines.cols,
                        1);
  };
  for (int64_t step = 1; step < side; step *= 2) {
    along_width(patch, side, step, lift);
    along_height(patch, side, step, lift);
  }
}

void haar2d_unlift_to_pairs(FloatView patch, int levels) {
  const int64_t side = int64_t{1} << levels;
  const auto unlift = [](FloatView lines) {
    kernels().haar_unlift(lines.data, lines.stride, lines.rows, lines.cols, 1);
  };
  for (int64_t step = side / 2; step > 0; step /= 2) {
    along_height(patch, side, step, unlift);
    if (step > 1) along_width(patch, side, step, unlift);
  }
}

void haar2d_unlift(FloatView patch, int levels) {
  haar2d_unlift_to_pairs(patch, levels);
  kernels().haar_unlift(patch.data, patch.stride, patch.rows, patch.cols, 1);
}

void dct2d_forward(FloatView x, const TransformParams& params) {
  const TokenGrid grid = grid_of(x.rows, params.grid_width);
  const std::vector<int64_t> order = dct2d_order(grid);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    along_both(block, grid, grid.width, [](FloatView line) { dct_forward(line, 0); });
    gather_rows(block, order);
  });
}

void dct2d_inverse(FloatView x, const TransformParams& params) {
  const TokenGrid grid = grid_of(x.rows, params.grid_width);
  const std::vector<int64_t> order = dct2d_order(grid);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    scatter_rows(block, order);
    along_both(block, grid, grid.width, [](FloatView line) { dct_inverse(line, 0); });
  });
}

}  // namespace stamp
