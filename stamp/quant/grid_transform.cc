#include "stamp/quant/grid_transform.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"
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

int max_levels(const Grid& grid) { return haar_max_levels(std::max(grid.height, grid.width)); }

/// The approximation block before level `level` + 1.
Grid coarse(const Grid& grid, int level) {
  const auto halved = [&](int64_t n) { return (n + (int64_t{1} << level) - 1) >> level; };
  return {halved(grid.height), halved(grid.width)};
}

/// A rectangle of coefficients as one level leaves them: [first_row, end_row) x [first_col,
/// end_col) of the grid.
struct Subband {
  int64_t first_row, end_row, first_col, end_col;
  int64_t count() const { return (end_row - first_row) * (end_col - first_col); }
};

std::vector<Subband> subbands(const Grid& grid, int levels) {
  const Grid last = coarse(grid, levels);
  std::vector<Subband> result{{0, last.height, 0, last.width}};
  for (int level = levels; level > 0; --level) {
    const Grid low = coarse(grid, level), all = coarse(grid, level - 1);
    result.push_back({low.height, all.height, 0, low.width});
    result.push_back({0, low.height, low.width, all.width});
    result.push_back({low.height, all.height, low.width, all.width});
  }
  std::erase_if(result, [](const Subband& band) { return band.count() == 0; });
  return result;
}

int allowed_levels(const Grid& grid, const TransformParams& params) {
  return std::min(params.levels, max_levels(grid));
}

/// Grid place of every row of the output.
std::vector<int64_t> haar2d_order(const Grid& grid, int levels) {
  std::vector<int64_t> order;
  for (const Subband& band : subbands(grid, levels))
    for (int64_t i = band.first_row; i < band.end_row; ++i)
      for (int64_t j = band.first_col; j < band.end_col; ++j) order.push_back(i * grid.width + j);
  return order;
}

std::vector<int64_t> dct2d_order(const Grid& grid) {
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
void along_both(FloatView x, const Grid& part, int64_t pitch, Transform&& transform) {
  for (int64_t i = 0; i < part.height; ++i) transform(grid_row(x, i, part.width, pitch));
  for (int64_t j = 0; j < part.width; ++j) transform(grid_column(x, j, part.height, pitch));
}

}  // namespace

Grid grid_of(int64_t tokens, int64_t width) {
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
  const Grid grid = grid_of(x.rows, params.grid_width);
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
  const Grid grid = grid_of(x.rows, params.grid_width);
  const int levels = allowed_levels(grid, params);
  const std::vector<int64_t> order = haar2d_order(grid, levels);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    scatter_rows(block, order);
    for (int level = levels; level-- > 0;)
      along_both(block, coarse(grid, level), grid.width,
                 [](FloatView line) { haar_inverse(line, 1); });
  });
}

std::vector<Band> haar2d_bands(int64_t tokens, const TransformParams& params) {
  const Grid grid = grid_of(tokens, params.grid_width);
  std::vector<Band> bands;
  int64_t first = 0;
  for (const Subband& band : subbands(grid, allowed_levels(grid, params))) {
    bands.push_back({first, band.count()});
    first += band.count();
  }
  return bands;
}

void dct2d_forward(FloatView x, const TransformParams& params) {
  const Grid grid = grid_of(x.rows, params.grid_width);
  const std::vector<int64_t> order = dct2d_order(grid);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    along_both(block, grid, grid.width, [](FloatView line) { dct_forward(line, 0); });
    gather_rows(block, order);
  });
}

void dct2d_inverse(FloatView x, const TransformParams& params) {
  const Grid grid = grid_of(x.rows, params.grid_width);
  const std::vector<int64_t> order = dct2d_order(grid);
  for_each_column_block(x, kColumns, [&](FloatView block) {
    scatter_rows(block, order);
    along_both(block, grid, grid.width, [](FloatView line) { dct_inverse(line, 0); });
  });
}

}  // namespace stamp
