// Attention over caches of fp32 rows.
#include <limits>
#include <numeric>

#include "stamp/nn/attention_call.h"
#include "stamp/nn/attention_softmax.h"

namespace stamp {
namespace {

/// Keys and values from absolute token `first` on.
struct KeyRange {
  ConstFloatView k, v;
  int64_t first = 0;
};

/// What the queries of one call read: stored rows, and the unquantized rows of blocks that close in
/// this call.
struct KeySource {
  KeyRange stored;  // the cache, chunk included
  KeyRange chunk;   // as passed
  KeyRange opened;  // the block that was open before the chunk, unquantized; empty unless it closes
  int64_t block = 0;  // 0: queries read stored rows only

  /// Start of the block that `token` reads unquantized.
  int64_t own_block(int64_t token) const {
    return block == 0 ? std::numeric_limits<int64_t>::max() : token / block * block;
  }
  /// Where the queries of block `own` find the key tile that starts at `token`.
  const KeyRange& find(int64_t token, int64_t own) const {
    const bool closed = block > 0 && own + block <= chunk.first + chunk.k.rows;
    if (token < own || !closed) return stored;
    return own < chunk.first ? opened : chunk;
  }
};

/// All keys up to the last query of the tile, `step` tokens at a time.
void attend(const AttentionCall& call, const QueryTile& tile, int64_t step,
            const KeySource& source) {
  const int64_t dim = call.shape.head_dim, column = tile.head / call.heads_per_kv() * dim;
  const int64_t end = tile.first + tile.count, own = source.own_block(tile.first);
  const Matrix q = stack_queries(call.q, tile, call.position, dim);
  RowScratch scratch(q.rows(), dim);
  RunningSoftmax softmax(q.rows(), dim);
  for (int64_t token = 0; token < end; token += step) {
    const KeyRange& keys = source.find(token, own);
    const int64_t count = std::min(step, end - token), row = token - keys.first;
    const auto part = [&](ConstFloatView x) {
      return x.rows_from(row, count).cols_from(column, dim);
    };
    attend_rows(q.view(), 0, tile, {part(keys.k), part(keys.v), token}, call.scale(), scratch,
                softmax);
  }
  softmax.write(tile, call.position, call.out);
}

/// Quantizes the cache rows of every block that ends in (position, end].
void close_blocks(const AttentionCall& call, int64_t block) {
  const int64_t first_block = call.position / block, head_dim = call.shape.head_dim;
  parallel_for(call.end() / block - first_block, [&](int64_t i) {
    const int64_t first = (first_block + i) * block;
    call.quantizer.k.apply(call.cache.k.view().rows_from(first, block), first, head_dim);
    call.quantizer.v.apply(call.cache.v.view().rows_from(first, block), first, head_dim);
  });
}

/// Quantizes the chunk as one block.
void quantize_chunk(const AttentionCall& call) {
  const int64_t position = call.position, rows = call.q.rows, head_dim = call.shape.head_dim;
  call.quantizer.k.apply(call.cache.k.view().rows_from(position, rows), position, head_dim);
  call.quantizer.v.apply(call.cache.v.view().rows_from(position, rows), position, head_dim);
}

}  // namespace

void attention_over_rows(const AttentionCall& call) {
  LayerCache& cache = call.cache;
  const int64_t position = call.position, end = call.end(), block = cache.block;
  append_rows(call.k, position, cache.k);
  append_rows(call.v, position, cache.v);

  KeySource source{{cache.k.view(), cache.v.view(), 0}, {call.k, call.v, position}, {}, block};
  Matrix opened_k, opened_v;
  if (block > 0) {
    const int64_t open = position / block * block;
    if (open < position && open + block <= end) {
      opened_k = Matrix::copy_of(cache.k.view().rows_from(open, block));
      opened_v = Matrix::copy_of(cache.v.view().rows_from(open, block));
      source.opened = {opened_k.view(), opened_v.view(), open};
    }
    close_blocks(call, block);
  } else {
    quantize_chunk(call);
  }

  // Tiles are aligned to absolute positions, so that a query tile lies in one block, and the
  // longest come first.
  const int64_t step = block > 0 ? std::gcd(block, kKeyTile) : kKeyTile;
  const int64_t first_tile = position / step, tiles = (end + step - 1) / step - first_tile;
  for_each_item(call, tiles * call.shape.kv_heads, [&](int64_t i) {
    const int64_t tile = first_tile + tiles - 1 - i / call.shape.kv_heads;
    const int64_t first = std::max(position, tile * step);
    attend(call, call.tile(i % call.shape.kv_heads, 1, first, std::min(end, (tile + 1) * step)),
           step, source);
  });
}

}  // namespace stamp
