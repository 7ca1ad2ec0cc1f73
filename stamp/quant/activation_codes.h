#pragma once
// The integer form of L X R for the integer products, and the way back (STAMP sections 4, 5).
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/feature_transform.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

/// How one row of integer sums becomes real. With codes a, weights w stored as u = w + bias and
/// acc = sum_k a u: y = scale * column_scale * (acc - bias * sum - offset * sum_k w).
struct RowConstants {
  float scale = 0;
  int32_t sum = 0;     // of the row's codes
  int32_t offset = 0;  // stored code of the value 0
};

/// Rows [first_row, first_row + rows) of the codes are L of the tokens [first_token, first_token +
/// rows): what one inverse transform needs. A sink is a run of one row, whose token an earlier run
/// writes first.
struct CodeRun {
  int64_t first_row = 0, first_token = 0, rows = 0;
  int levels = 0;  // Haar; 0 and one row: no transform
};

/// Codes of a [tokens, cols] matrix: signed bytes, row-major, padded with zeros to `stride` (a
/// multiple of 64 that is not one of 4096).
struct ActivationCodes {
  int64_t tokens = 0, rows = 0, cols = 0, stride = 0;
  AlignedBuffer buffer;
  std::vector<RowConstants> constants;  // per row
  std::vector<uint8_t> limits;          // per row: largest |code|
  std::vector<CodeRun> runs;

  const int8_t* row(int64_t i) const {
    return static_cast<const int8_t*>(buffer.data()) + i * stride;
  }
};

/// What happens to a row before L.
struct InputTransform {
  const HadamardPlan* rotation = nullptr;  // null: none
  std::span<const float> mean;             // subtracted after the rotation; empty: none
};

}  // namespace stamp
