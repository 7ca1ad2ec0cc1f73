#pragma once
// Parts of flash attention: stacked queries, a softmax that runs over tiles of
// keys, and tiles of fp32 keys.
#include <vector>

#include "stamp/core/tensor.h"

namespace stamp {

inline constexpr int64_t kKeyTile = 64;  // tokens of a tile of keys
inline constexpr int64_t kFewRows = 8;   // up to here dot products beat transposing the keys

/// Query heads [head, head + heads) of the tokens [first, first + count). Stacked row h * count + i
/// is token i of the h-th head, so that the heads of one kv head are neighbours.
struct QueryTile {
  int64_t head = 0, heads = 0, first = 0, count = 0;
  int64_t rows() const { return heads * count; }
};
/// `q` [tokens, all heads * head_dim] starts at absolute token `position`.
Matrix stack_queries(ConstFloatView q, const QueryTile& tile, int64_t position, int64_t head_dim);

/// Softmax over the keys seen so far, per stacked row: out = sum of p v, p relative to exp(peak).
struct RunningSoftmax {
  Matrix out;
  std::vector<float> peak, sum;

  RunningSoftmax(int64_t rows, int64_t head_dim);
  /// Turns the scores of row r into p = exp(scale * (s - peak)), rescaling what was summed under an
  /// older peak. Columns from `visible` to `count` lie in the future.
  void update(int64_t r, float* scores, int64_t visible, int64_t count, float scale);
  /// The same for rows [first, first + count) of kKeyTile scores, all of them visible.
  void update_rows(int64_t first, int64_t count, float* scores, float scale);
  /// Adds what another one saw.
  void merge(const RunningSoftmax& other, float scale);
  /// out / sum to the rows of y [tokens, all heads * head_dim].
  void write(const QueryTile& tile, int64_t position, FloatView y) const;

 private:
  void shrink(int64_t r, float factor);
};

/// Up to kKeyTile fp32 keys and values of one head from absolute token `first` on.
struct KeyTile {
  ConstFloatView k, v;
  int64_t first = 0;
};

/// Memory for tiles of fp32 keys.
struct RowScratch {
  Matrix scores, keys;  // [rows, kKeyTile], [head_dim, kKeyTile]
  RowScratch(int64_t rows, int64_t head_dim);
};

/// One tile of keys for stacked queries `q` of one kv head, which are rows [first, ...) of
/// `softmax`; row i is of token tile.first + i mod tile.count, which sees no key after it.
void attend_rows(ConstFloatView q, int64_t first, const QueryTile& tile, const KeyTile& keys,
                 float scale, RowScratch& scratch, RunningSoftmax& softmax);

}  // namespace stamp
