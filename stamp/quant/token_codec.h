#pragma once
// Hidden states as bytes for a slow link: rotated, transformed along the tokens, each row in the
// width of its plan, packed.
#include <cstddef>
#include <span>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/feature_map.h"
#include "stamp/quant/token_quantizer.h"

namespace stamp {

class TokenCodec {
 public:
  /// For rows of `cols` features. `bits`: 32 and 16 send fp32 (exact) and bf16 values; 2 to 8 send
  /// codes: Hadamard along the features, Haar along the tokens of each sequence, the first 64 rows
  /// at 8 bits and the others at `bits` (sinks and lone tokens at 8), an fp16 scale and a zero
  /// point for every 128 columns. Throws std::invalid_argument for other widths.
  TokenCodec(int bits, int64_t cols);

  int bits() const { return bits_; }
  /// x [tokens, cols] as bytes(). On all threads.
  std::vector<std::byte> encode(ConstFloatView x, TokenRows rows) const;
  /// x [tokens, cols] := what encode() was given, as far as it was sent. Throws std::runtime_error
  /// unless there are as many bytes as such a matrix takes.
  void decode(std::span<const std::byte> bytes, TokenRows rows, FloatView x) const;
  /// The number of bytes.
  int64_t bytes(int64_t tokens, TokenRows rows) const;

 private:
  struct Row {
    int64_t token = 0;  // of the matrix
    int bits = 0;
    int64_t offset = 0;  // of its bytes
    bool sink = false;   // itself, not the row of L X in its place
  };
  struct Layout {
    std::vector<Row> rows;
    int64_t bytes = 0;
  };
  Layout layout(int64_t tokens, TokenRows rows) const;
  /// body(row), on all threads, for sinks or for the others.
  template <class Body>
  static void for_each_row(const Layout& all, bool sinks, Body&& body);
  int64_t row_bytes(int bits) const;
  void encode_row(std::span<const float> row, int bits, std::byte* to) const;
  void decode_row(const std::byte* from, int bits, std::span<float> row) const;

  int bits_;
  int64_t cols_;
  TokenQuantizer quantizer_;
  FeatureMap map_, back_;
};

}  // namespace stamp
