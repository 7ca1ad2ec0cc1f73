#pragma once
// Attention of a few stacked queries over one packed block: integer products in the transform
// domain, scores through L^-1, probabilities through L.
#include <vector>

#include "stamp/nn/attention_softmax.h"
#include "stamp/nn/kv_block.h"

namespace stamp {

/// Stacked queries of one kv head as integers: one plane of 8 bits or two that make 16, x ~ scale *
/// (256 high + low).
struct QueryCodes {
  int planes = 2;
  AlignedBuffer codes;       // chunks of kQueryChunk rows: [planes][rows of the chunk][head_dim]
  std::vector<float> scale;  // per row
  std::vector<float> sum;    // per scale group of the keys and row: scale * sum of codes
};
inline constexpr int64_t kQueryChunk = 32;
/// A row that holds NaN or infinity gets a scale of NaN.
QueryCodes quantize_queries(ConstFloatView q, const KvPartLayout& keys, int planes);

/// Keys or values of one head of a block, ready for the kernels.
struct UnpackedPart {
  AlignedBuffer panel;         // bytes; of keys that are not packed: fp32 [head_dim][64 slots]
  std::vector<float> scale;    // [groups][64 slots], the factors of L included
  const uint8_t* zero;         // [groups][64 slots]
  std::vector<uint8_t> zeros;  // where they do not lie so in the block
  Matrix sinks;                // [sinks, head_dim]
};

/// Some stacked queries of one kv head: rows [first, first + q.rows) of a RunningSoftmax.
struct HeadQueries {
  ConstFloatView q;
  const QueryCodes& codes;
  int64_t first = 0;
};

/// What one thread needs to attend to blocks.
class BlockAttention {
 public:
  BlockAttention(int64_t head_dim, int planes, const KvHeadLayout& layout);

  /// Adds the 64 tokens of `head` of `block`. `rows` holds those of a part that is not packed.
  /// `next` (may be null) is the head that follows, fetched meanwhile.
  void attend(const KvBlock& block, int64_t head, const KeyTile& rows, const HeadQueries& queries,
              float scale, const uint8_t* next, RunningSoftmax& softmax);

 private:
  void unpack(const KvPartLayout& part, const uint8_t* scales, const uint8_t* codes,
              const uint8_t* zeros, UnpackedPart& out);
  void unpack_sinks(const KvPartLayout& part, const uint8_t* scales, const uint8_t* codes,
                    const uint8_t* zeros, UnpackedPart& out);
  void score(const KvPartLayout& keys, const HeadQueries& queries, int64_t first, int64_t count);
  void add_values(const KvPartLayout& values, ConstFloatView rows, int64_t count, float* out);

  int planes_;
  int64_t head_dim_;
  UnpackedPart keys_, values_;
  Matrix scores_;                // [kQueryChunk, 64 slots]
  std::vector<int32_t> sums_;    // [planes * kQueryChunk][64]
  std::vector<int8_t> weights_;  // [planes * kQueryChunk][64 slots]
  std::vector<float> weight_scale_, weight_offset_;
};

}  // namespace stamp
