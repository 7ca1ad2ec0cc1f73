#pragma once
// The integer form of L X R for the integer products, and the way back (STAMP sections 4, 5).
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/kernels/row_constants.h"
#include "stamp/quant/feature_map.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

/// Rows [first_row, first_row + rows) of the codes are L of the tokens [first_token, first_token +
/// rows): what one inverse transform needs. Haar rows are in lifting order (haar.h). Sinks are a
/// run of their own without a transform, whose rows in the run of their neighbours give nothing.
struct CodeRun {
  int64_t first_row = 0, first_token = 0, rows = 0;
  int levels = 0;                   // of Haar or of haar2d in patches; 0: rows are tokens
  int64_t patch = 0;                // haar2d: rows of a patch, in lifting order (grid_transform.h)
  const int32_t* tokens = nullptr;  // of the rows, from first_token on; null: one after the other
  const SequenceTransform* generic = nullptr;  // not null: a transform that is not lifted
  int64_t replaced = 0;                        // leading tokens that are sinks
  TransformParams params;                      // of `generic`
};

/// Codes of a [tokens, cols] matrix: signed bytes, row-major, padded with zeros to `stride` (a
/// multiple of 64 that is not one of 4096). A grid value c of a b-bit row is stored as c + offset
/// in [-2^(b - 1), 2^(b - 1) - 1]; rows of 0 bits are zeros with scale 0.
struct ActivationCodes {
  int64_t tokens = 0, rows = 0, cols = 0, stride = 0;
  int64_t block = 0;  // columns that share one scale; 0: the whole row
  AlignedBuffer buffer;
  int64_t capacity = 0;                 // bytes of the buffer
  std::vector<RowConstants> constants;  // [rows][blocks()]
  std::vector<uint8_t> limits;          // per row: largest |code|, 2^(bits - 1)
  std::vector<CodeRun> runs;
  std::vector<std::vector<int32_t>> patch_tokens;  // what runs point to
  Matrix coarse, scratch;                          // memory of encode()

  const int8_t* row(int64_t i) const {
    return static_cast<const int8_t*>(buffer.data()) + i * stride;
  }
  int8_t* row(int64_t i) { return static_cast<int8_t*>(buffer.data()) + i * stride; }
  int64_t blocks() const { return block == 0 ? 1 : (cols + block - 1) / block; }
  /// The runs, cut where the transform allows into parts of about `part_rows` rows at most.
  std::vector<CodeRun> parts(int64_t part_rows) const;
  /// Room for such codes; keeps the memory when it is large enough. Contents are lost.
  void reshape(int64_t tokens, int64_t rows, int64_t cols, int64_t block);
};

/// Columns of a panel of sums; tiles of sums have rows of 64.
inline constexpr int64_t kPanelColumns = 64;

/// Per column of a panel of integer sums (see RowConstants); the first y.cols entries are read.
struct PanelConstants {
  int32_t weight_bias = 0;  // 8 for nibbles, 128 for bytes, 0 for signed weights
  const float* column_scale = nullptr;
  const int32_t* column_sum = nullptr;  // sum_k w
  const float* bias = nullptr;          // null: none
};

/// y[run.rows, n <= 64] = L^-1 of `acc` [run.rows, 64], the sums of the rows of `run`, made real,
/// plus the bias; y += with `add`; leading rows that are sinks stay as they are. `run` is one of
/// x.runs or x.parts(); with run.tokens row i goes to y's row tokens[i], and y has all those rows.
/// x has one scale per row. `stream`: y is not read soon, whole lines may
/// bypass the caches. Single-threaded; agrees with haar_inverse to 1e-6. Throws
/// std::invalid_argument when shapes do not fit.
void decode_panel(const ActivationCodes& x, const CodeRun& run, const int32_t* acc,
                  const PanelConstants& panel, FloatView y, bool add = false, bool stream = false);
/// The same for sums that are real already (kernel add_scaled_s32). `bias` may be null.
void decode_panel(const CodeRun& run, const float* acc, const float* bias, FloatView y,
                  bool add = false, bool stream = false);

}  // namespace stamp
