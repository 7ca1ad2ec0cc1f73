#pragma once
// Parts of flash attention: the stacked queries of one kv head, a softmax that runs over tiles of
// keys, and tiles of fp32 keys.
#include <vector>

#include "stamp/core/tensor.h"

namespace stamp {

struct AttentionShape;

inline constexpr int64_t kKeyTile = 64;  // tokens of a tile of keys
inline constexpr int64_t kFewRows = 8;   // up to here dot products beat transposing the keys

/// The query tokens [first, first + count) of kv head `group`. Stacked row h * count + i is query i
/// of its h-th head.
struct QueryTile {
  int64_t group = 0, first = 0, count = 0;
};
/// `q` [tokens, heads * head_dim] starts at absolute token `position`.
Matrix stack_queries(ConstFloatView q, const QueryTile& tile, int64_t position,
                     const AttentionShape& shape);

/// Softmax over the keys seen so far, per stacked row: out = sum of p v, p relative to exp(peak).
struct RunningSoftmax {
  Matrix out;
  std::vector<float> peak, sum;

  RunningSoftmax(int64_t rows, int64_t head_dim);
  /// Turns the scores of row r into p = exp(scale * (s - peak)), rescaling what was summed under an
  /// older peak. Columns from `visible` to `count` lie in the future.
  void update(int64_t r, float* scores, int64_t visible, int64_t count, float scale);
  /// Adds what another one saw.
  void merge(const RunningSoftmax& other, float scale);
  /// out / sum to the rows of y [tokens, heads * head_dim].
  void write(const QueryTile& tile, int64_t position, FloatView y) const;
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

/// scores[r, 0 .. k.rows) = q k^T.
void score_rows(ConstFloatView q, ConstFloatView k, RowScratch& scratch);
/// One tile of keys; keys after a query are not seen.
void attend_rows(const Matrix& q, const QueryTile& tile, const KeyTile& keys, float scale,
                 RowScratch& scratch, RunningSoftmax& softmax);

}  // namespace stamp
