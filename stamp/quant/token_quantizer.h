#pragma once
// Simulated STaMP quantization of a [tokens, cols] matrix: X^ = L^-1 Q_b(L X), rows quantized with
// the widths of the plan, sink rows kept as extra 8-bit rows. The integer path calls the same
// forward and quantize steps.
#include <memory>
#include <vector>

#include "stamp/core/tensor.h"
#include "stamp/quant/recipe.h"
#include "stamp/quant/row_quantizer.h"
#include "stamp/quant/sequence_transform.h"
#include "stamp/quant/token_rows.h"

namespace stamp {

/// Bits spent on one matrix.
struct BitCount {
  double data_bits = 0;   // codes
  double scale_bits = 0;  // fp16 scales and u8 zero points
  int64_t elements = 0;
  void add(const BitCount& other);
  double average() const;  // data bits per element
  double average_with_scales() const;
};

/// Rows [first, first + count) that L mixes; the first `sinks` of them are kept out of L.
struct TokenBlock {
  int64_t first = 0, count = 0, sinks = 0;
};
/// Blocks of a chunk of `tokens` rows, in each sequence aligned to absolute multiples of
/// block_tokens (0: one block). Tokens below skip_tokens are sinks, except under the identity,
/// which spreads nothing.
std::vector<TokenBlock> token_blocks(const SequenceSpec& spec, int64_t tokens, TokenRows rows);

class Communicator;      // core/communicator.h
struct ActivationCodes;  // activation_codes.h
struct FeatureMap;       // feature_map.h

class TokenQuantizer {
 public:
  /// `range2`: calibrated row costs of one transform block (empty unless the plan is waterfill),
  /// `basis`: needed by klt. kDetectSinks is none here (see with_sinks()). Throws
  /// std::invalid_argument as check(Recipe).
  TokenQuantizer(const TokenSpec& spec, std::vector<float> range2 = {},
                 std::shared_ptr<const KltBasis> basis = nullptr);

  bool active() const { return spec_.bits < 16; }
  const TokenSpec& spec() const { return spec_; }
  /// Widths of the rows of L X of one transform block.
  using Widths = std::shared_ptr<const std::vector<uint8_t>>;
  Widths widths(int64_t tokens, int64_t sinks) const;
  /// Replaces x by its reconstruction. Tokens below skip_tokens are sinks. Blocks of block_tokens
  /// (0: all rows) are transformed independently. `group` columns share a scale besides
  /// quantizer.block (0: whole row): head_dim for K and V. Runs on all threads. With 16 bits x is
  /// untouched. A lone row (a decoding step) has no neighbours: plans other than uniform keep it at
  /// high_bits. Throws std::invalid_argument where row_bits() does. NaN and infinities do not
  /// survive: they saturate.
  void apply(FloatView x, TokenRows rows = 0, int64_t group = 0) const;
  /// True when encode() supports this quantizer: active, and one scale per row or per multiple of
  /// 8 columns.
  bool can_encode() const { return active() && spec_.quantizer.block % 8 == 0; }
  /// The codes of the same quantization of x after map_rows(x, input); x is read once and not
  /// changed. Codes, scales and widths are those of apply() after the same map, bit for bit; those
  /// of a sequence do not depend on others in x. Reuses out's memory; runs on all threads, a lone
  /// row on the calling one. `peers` (may be null): processes that hold the other columns of the
  /// same rows and encode them now; ranges are those of all columns. Throws std::invalid_argument
  /// where can_encode() is false, where apply() and map_rows() throw, and above 65536 columns (sums
  /// could overflow 32 bits).
  void encode(ConstFloatView x, TokenRows rows, const FeatureMap& input, ActivationCodes& out,
              Communicator* peers = nullptr) const;
  /// The same without quantization (L^-1 L X): for tests, and without inverse (L X) for
  /// calibration; there sink rows are replaced by the first kept row.
  void transform_only(FloatView x, int64_t position = 0) const;
  void forward_only(FloatView x, TokenRows rows = 0) const;
  /// L^-1 x of every block, what forward_only() undoes but for the sinks.
  void inverse_only(FloatView x, TokenRows rows = 0) const;
  /// x := L x for one block without sinks.
  void forward_block(FloatView x) const;
  /// Bits that apply() spends on such a matrix.
  BitCount count_bits(int64_t tokens, int64_t cols, int64_t position = 0, int64_t group = 0) const;

 private:
  struct WidthCache;
  TransformParams params(int64_t tokens) const;
  void apply_block(FloatView x, int64_t sinks, int64_t group) const;

  TokenSpec spec_;
  const SequenceTransform* transform_;
  std::vector<float> range2_;
  std::shared_ptr<const KltBasis> basis_;
  std::shared_ptr<WidthCache> cache_;
};

}  // namespace stamp
