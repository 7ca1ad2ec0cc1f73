#include "stamp/quant/activation_codes.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"
#include "stamp/quant/grid_transform.h"
#include "stamp/quant/haar.h"

namespace stamp {
namespace {

/// Column constants of a panel, filled up to 64 columns.
struct Columns {
  alignas(64) float scale[kPanelColumns] = {}, sum[kPanelColumns] = {}, bias[kPanelColumns] = {};
};

struct Target {
  FloatView y;
  bool add, stream;
};

/// Whole tiles of `run` rows at a time that stay in L1.
int64_t chunk_rows(int64_t run) { return std::max<int64_t>(run, 64); }

/// y := or += tile + bias, for tiles of 64 columns.
void emit(ConstFloatView tile, const float* bias, FloatView y, bool add) {
  for (int64_t i = 0; i < y.rows; ++i)
    for (int64_t j = 0; j < y.cols; ++j) {
      const float value = tile(i, j) + bias[j];
      y(i, j) = add ? y(i, j) + value : value;
    }
}

/// Memory of the calling thread for tiles that cannot be written to y directly.
FloatView tile_of(int64_t rows) {
  static thread_local Matrix tile;
  tile.reshape(rows, kPanelColumns);
  return tile.view();
}

/// Sums from row `first` on through `decode(first, levels, bias, y, add, stream)`, which undoes
/// whole Haar runs of 64 columns.
template <class Decode>
void decode_whole_runs(int levels, const float* bias, const Target& target, Decode&& decode) {
  const FloatView y = target.y;
  if (y.cols == kPanelColumns) return decode(0, levels, bias, y, target.add, target.stream);
  constexpr float kZeros[kPanelColumns] = {};
  const int64_t chunk = chunk_rows(int64_t{1} << levels);
  for (int64_t i = 0; i < y.rows; i += chunk) {
    const int64_t rows = std::min(chunk, y.rows - i);
    const FloatView tile = tile_of(rows);
    decode(i, levels, kZeros, tile, false, false);
    emit(tile, bias, y.rows_from(i, rows), target.add);
  }
}

/// Rows of any other transform: `inverse(tile)` undoes it.
template <class Decode, class Inverse>
void decode_tile(int64_t first, const float* bias, const Target& target, Decode&& decode,
                 Inverse&& inverse) {
  constexpr float kZeros[kPanelColumns] = {};
  const FloatView tile = tile_of(target.y.rows);
  decode(first, 0, kZeros, tile, false, false);
  inverse(tile);
  emit(tile, bias, target.y, target.add);
}

/// Rows of a patch whose pairs along the width are still to be undone, which are neighbours in y.
void emit_pairs(ConstFloatView rows, const float* bias, FloatView y, bool add, int stream) {
  if (y.cols == kPanelColumns)
    return kernels().decode_f32(rows.data, rows.rows, 1, bias, y.data, y.stride, add, stream);
  constexpr float kZeros[kPanelColumns] = {};
  Matrix tile(rows.rows, kPanelColumns);
  kernels().decode_f32(rows.data, rows.rows, 1, kZeros, tile.data(), kPanelColumns, 0, 0);
  emit(tile.view(), bias, y, add);
}

/// Patches of haar2d, one after the other in a tile that stays in L1.
template <class Decode>
void decode_patches(const CodeRun& run, const float* bias, const Target& target, Decode&& decode) {
  constexpr float kZeros[kPanelColumns] = {};
  const int64_t side = int64_t{1} << run.levels;
  const FloatView tile = tile_of(run.patch);
  for (int64_t first = 0; first < run.rows; first += run.patch) {
    decode(first, 0, kZeros, tile, false, false);
    haar2d_unlift_to_pairs(tile, run.levels);
    for (int64_t i = 0; i < run.patch; i += side) {
      const int64_t row = run.tokens ? run.tokens[first + i] : first + i;
      const bool last = first + i + side == run.rows;
      emit_pairs(tile.rows_from(i, side), bias, target.y.rows_from(row, side), target.add,
                 !target.stream ? 0
                 : last         ? 1
                                : kMoreStreams);
    }
  }
}

template <class Decode>
void decode_all_tokens(const CodeRun& run, const float* bias, const Target& target,
                       Decode&& decode) {
  const auto part = [&](int64_t first, int64_t rows) {
    return Target{target.y.rows_from(first, rows), target.add, target.stream};
  };
  if (run.patch > 0) return decode_patches(run, bias, target, decode);
  if (run.generic)
    return decode_tile(0, bias, target, decode,
                       [&](FloatView tile) { run.generic->inverse(tile, run.params); });
  const int64_t whole = run.rows >> run.levels << run.levels;
  if (whole > 0) decode_whole_runs(run.levels, bias, part(0, whole), decode);
  if (whole < run.rows)
    decode_tile(whole, bias, part(whole, run.rows - whole), decode, [&](FloatView tile) {
      kernels().haar_unlift(tile.data, tile.stride, tile.rows, tile.cols, run.levels);
    });
}

template <class Decode>
void decode_run(const CodeRun& run, const float* bias, const Target& target, Decode&& decode) {
  const FloatView y = target.y;
  if ((run.tokens ? y.rows < run.rows : y.rows != run.rows) || y.cols > kPanelColumns)
    throw_argument("decode panel: expected y [{}, at most {}], got [{}, {}]", run.rows,
                   kPanelColumns, y.rows, y.cols);
  if (run.replaced == 0) return decode_all_tokens(run, bias, target, decode);
  const FloatView sinks = y.rows_from(0, run.replaced);
  const Matrix kept = Matrix::copy_of(sinks);
  decode_all_tokens(run, bias, target, decode);
  for (int64_t t = 0; t < sinks.rows; ++t) std::copy_n(kept.row(t), sinks.cols, sinks.row(t));
}

}  // namespace

void ActivationCodes::reshape(int64_t new_tokens, int64_t new_rows, int64_t new_cols,
                              int64_t new_block) {
  tokens = new_tokens, rows = new_rows, cols = new_cols, block = new_block;
  stride = std::max<int64_t>(1, (cols + 63) / 64) * 64;
  if (stride % 4096 == 0) stride += 64;
  if (rows * stride > capacity) {
    buffer = AlignedBuffer(rows * stride);
    capacity = rows * stride;
  }
  constants.resize(static_cast<size_t>(rows * blocks()));
  limits.resize(static_cast<size_t>(rows));
  runs.clear();
  patch_tokens.clear();
}

std::vector<CodeRun> ActivationCodes::parts(int64_t part_rows) const {
  std::vector<CodeRun> result;
  for (const CodeRun& run : runs) {
    const int64_t cut = run.patch > 0 ? run.patch : int64_t{1} << run.levels;
    int64_t step = run.generic ? run.rows : std::max(part_rows / cut, int64_t{1}) * cut;
    if (run.replaced > step) step = run.rows;
    for (int64_t first = 0; first < run.rows; first += step) {
      CodeRun part = run;
      part.first_row += first;
      if (run.tokens)
        part.tokens += first;
      else
        part.first_token += first;
      part.rows = std::min(step, run.rows - first);
      part.replaced = first == 0 ? run.replaced : 0;
      result.push_back(part);
    }
  }
  return result;
}

void decode_panel(const ActivationCodes& x, const CodeRun& run, const int32_t* acc,
                  const PanelConstants& panel, FloatView y, bool add, bool stream) {
  Columns columns;
  for (int64_t j = 0; j < std::min(y.cols, kPanelColumns); ++j) {
    columns.scale[j] = panel.column_scale[j];
    columns.sum[j] = static_cast<float>(panel.column_sum[j]);
    if (panel.bias) columns.bias[j] = panel.bias[j];
  }
  const RowConstants* constants = x.constants.data() + run.first_row;
  decode_run(run, columns.bias, {y, add, stream},
             [&](int64_t row, int levels, const float* bias, FloatView out, bool plus, bool past) {
               kernels().decode_s32(acc + row * kPanelColumns, constants + row, out.rows, levels,
                                    panel.weight_bias, columns.scale, columns.sum, bias, out.data,
                                    out.stride, plus, past);
             });
}

void decode_panel(const CodeRun& run, const float* acc, const float* bias, FloatView y, bool add,
                  bool stream) {
  Columns columns;
  if (bias) std::copy_n(bias, std::min(y.cols, kPanelColumns), columns.bias);
  decode_run(run, columns.bias, {y, add, stream},
             [&](int64_t row, int levels, const float* start, FloatView out, bool plus, bool past) {
               kernels().decode_f32(acc + row * kPanelColumns, out.rows, levels, start, out.data,
                                    out.stride, plus, past);
             });
}

}  // namespace stamp
