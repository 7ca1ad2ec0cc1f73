#include <cmath>

#include "stamp/core/error.h"
#include "stamp/pipelines/verify_transform_parts.h"
#include "stamp/quant/grid_transform.h"

namespace stamp {
namespace {

constexpr int64_t kLargestSide = 1 << 12;

struct Key {
  int levels = 0;
  TokenGrid grid;
  bool odd_padded = false;
  char kind = 'P';  // A, H, V, D; P: packed
  int level = 0;    // of H, V, D
};

std::optional<Key> parse_key(std::string_view name) {
  Key key;
  if (!take(name, "haar2d") || !take_number(name, key.levels) || !take(name, "_") ||
      !take_number(name, key.grid.height) || !take(name, "x") ||
      !take_number(name, key.grid.width) || !take(name, "_"))
    return std::nullopt;
  key.odd_padded = take(name, "oddpad_");
  key.level = key.levels;
  if (name == "packed") return key;
  if (!take(name, "c") || name.empty()) return std::nullopt;
  key.kind = name.front();
  name.remove_prefix(1);
  if (key.kind == 'A') return name.empty() ? std::optional(key) : std::nullopt;
  const bool detail = key.kind == 'H' || key.kind == 'V' || key.kind == 'D';
  return detail && take_number(name, key.level) && name.empty() ? std::optional(key) : std::nullopt;
}

int64_t halved(int64_t n, int level) { return (n + (int64_t{1} << level) - 1) >> level; }

/// One axis of a sub-band: where it lies among the coefficients of its level.
struct Axis {
  int64_t size, low, all;  // coefficients of the file; low-pass ones and all here
  bool high, padded;
  bool exists(int64_t i) const { return !high || low + i < all; }
  int64_t place(int64_t i) const { return high ? low + i : i; }
  /// A repeated row makes sqrt 2 of what passes unscaled here.
  double scale(int64_t i) const {
    return padded && !high && all % 2 == 1 && i == low - 1 ? std::sqrt(2.0) : 1.0;
  }
};

Axis axis_of(int64_t side, int level, bool high, bool padded) {
  const int64_t low = halved(side, level), all = level > 0 ? halved(side, level - 1) : low;
  return {high && !padded ? all - low : low, low, all, high, padded};
}

/// Coefficients as they lie in the grid after all levels.
Matrix packed_grid(const Matrix& bands, const TokenGrid& grid, int levels) {
  Matrix packed(bands.rows(), bands.cols());
  int64_t row = 0;
  const auto put = [&](const Axis& rows, const Axis& cols) {
    for (int64_t i = 0; i < rows.size; ++i)
      for (int64_t j = 0; j < cols.size; ++j)
        std::copy_n(bands.row(row++), bands.cols(),
                    packed.row(rows.place(i) * grid.width + cols.place(j)));
  };
  const auto axes = [&](int level, bool high_rows, bool high_cols) {
    put(axis_of(grid.height, level, high_rows, false),
        axis_of(grid.width, level, high_cols, false));
  };
  axes(levels, false, false);
  for (int level = levels; level > 0; --level) {
    axes(level, true, false);
    axes(level, false, true);
    axes(level, true, true);
  }
  return packed;
}

/// The sub-band as the file holds it.
Matrix subband(const Matrix& packed, const Key& key) {
  const bool high_rows = key.kind == 'H' || key.kind == 'D';
  const bool high_cols = key.kind == 'V' || key.kind == 'D';
  const Axis rows = axis_of(key.grid.height, key.level, high_rows, key.odd_padded);
  const Axis cols = axis_of(key.grid.width, key.level, high_cols, key.odd_padded);
  Matrix result = Matrix::zeros(rows.size * cols.size, packed.cols());
  for (int64_t i = 0; i < rows.size; ++i)
    for (int64_t j = 0; j < cols.size; ++j) {
      if (!rows.exists(i) || !cols.exists(j)) continue;  // of a difference of equal rows
      const float* from = packed.row(rows.place(i) * key.grid.width + cols.place(j));
      for (int64_t c = 0; c < packed.cols(); ++c)
        result(i * cols.size + j, c) = static_cast<float>(from[c] * rows.scale(i) * cols.scale(j));
    }
  return result;
}

std::vector<float> all_values(const TensorView& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.size()));
  to_f32(tensor, 0, values);
  return values;
}

}  // namespace

bool check_haar2d(const Safetensors& file, const std::string& name, VerifyCase* result) {
  const std::optional<Key> key = parse_key(name);
  if (!key || !result) return key.has_value();
  const TokenGrid& grid = key->grid;
  const TensorView& input = file.at(fmt::format("x2_{}x{}", grid.height, grid.width));
  if (grid.height > kLargestSide || grid.width > kLargestSide || input.shape.size() != 3 ||
      input.shape[0] != grid.height || input.shape[1] != grid.width || input.size() == 0 ||
      key->levels > 12 || key->level > key->levels)
    throw_runtime("{}: expected levels up to 12 of an input [{}, {}, columns], got {}", name,
                  grid.height, grid.width, to_string(input.shape));
  Matrix x(grid.height * grid.width, input.shape[2]);
  to_f32(input, 0, {x.data(), static_cast<size_t>(x.size())});
  const Matrix original = x;
  TransformParams params(key->levels);
  params.grid_width = grid.width;
  haar2d_forward(x.view(), params);
  const Matrix packed = packed_grid(x, grid, key->levels);
  const std::vector<float> want = all_values(file.at(name));
  check_close(*result, name, values(key->kind == 'P' ? packed : subband(packed, *key)), want);
  haar2d_inverse(x.view(), params);
  check_close(*result, name + " inverted", values(x), values(original));
  return true;
}

}  // namespace stamp
