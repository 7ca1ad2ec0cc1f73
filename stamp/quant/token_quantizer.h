#pragma once
// Simulated STaMP quantization of a [tokens, cols] matrix: X^ = L^-1 Q_b(L X), rows quantized with the widths of
// the plan, sink rows kept as extra 8-bit rows. The integer path calls the same forward and quantize steps.
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/recipe.h"

namespace stamp {

/// Bits spent on one matrix.
struct BitCount {
  double data_bits = 0;    // codes
  double scale_bits = 0;   // fp16 scales and u8 zero points
  int64_t elements = 0;
  void add(const BitCount& other);
  double average() const;             // data bits per element
  double average_with_scales() const;
};

class TokenQuantizer {
 public:
  /// `range2`: calibrated r_i^2 of one transform block (empty unless the plan is waterfill). `skips_sink` is false
  /// for blocks that do not hold the beginning of the sequence. Throws std::invalid_argument as check(Recipe).
  TokenQuantizer(const TokenSpec& spec, std::vector<float> range2 = {});

  bool active() const { return spec_.bits < 16; }
  /// Replaces x by its reconstruction. `x` starts at absolute token `position`: rows below skip_tokens are sinks.
  /// Blocks of block_tokens (0: all rows) are transformed independently. `group` columns share a scale besides
  /// quantizer.block (0: whole row): head_dim for K and V. Runs on all threads. With 16 bits x is untouched.
  void apply(FloatView x, int64_t position = 0, int64_t group = 0) const;
  /// The same without quantization (L^-1 L X): for tests, and without inverse (L X) for calibration.
  void transform_only(FloatView x, int64_t position = 0) const;
  void forward_only(FloatView x, int64_t position = 0) const;
  /// Bits that apply() spends on such a matrix.
  BitCount count_bits(int64_t tokens, int64_t cols, int64_t position = 0, int64_t group = 0) const;

 private:
  TokenSpec spec_;
  std::vector<float> range2_;
};

/// Quantize-dequantize of one row at `bits` (METHODS 1.1, 1.2): scale rounded to fp16 before use, zero point u8,
/// round half to even. `group` columns share a scale (0: all). bits 0 writes zeros. Fixed operation order:
/// integer and simulated paths use this same arithmetic.
void fake_quantize_row(std::span<float> row, int bits, const QuantizerSpec& spec, int64_t group = 0);

}  // namespace stamp
