// Attention over packed caches.
#include "stamp/nn/attention_block.h"
#include "stamp/nn/attention_call.h"

namespace stamp {
namespace {

constexpr int64_t kBlock = kKvBlockTokens;
constexpr int64_t kBlocksPerPart = 8, kMostParts = 16;

/// Rows of the block that starts at `first`, which the chunk closes or leaves open, as computed.
ConstFloatView fresh_rows(const AttentionCall& call, bool packed, const Matrix& cache,
                          ConstFloatView chunk, int64_t first) {
  const int64_t count = std::min(kBlock, call.end() - first);
  if (!packed) return cache.view().rows_from(first, count);
  if (first < call.position) return cache.view().rows_from(0, count);
  return chunk.rows_from(first - call.position, count);
}

/// The same for one head of K and V, up to token `end`.
KeyTile fresh_tile(const AttentionCall& call, int64_t kv_head, int64_t first, int64_t end) {
  const int64_t dim = call.shape.head_dim;
  const auto part = [&](const TokenQuantizer& quantizer, const Matrix& cache,
                        ConstFloatView chunk) {
    return fresh_rows(call, quantizer.active(), cache, chunk, first)
        .rows_from(0, end - first)
        .cols_from(kv_head * dim, dim);
  };
  return {part(call.quantizer.k, call.cache.k, call.k),
          part(call.quantizer.v, call.cache.v, call.v), first};
}

/// fp32 rows of a closed block in the parts that are not packed.
KeyTile plain_tile(const AttentionCall& call, int64_t kv_head, int64_t first) {
  const int64_t dim = call.shape.head_dim;
  const auto part = [&](const TokenQuantizer& quantizer, const Matrix& cache) -> ConstFloatView {
    if (quantizer.active()) return {};
    return cache.view().rows_from(first, kBlock).cols_from(kv_head * dim, dim);
  };
  return {part(call.quantizer.k, call.cache.k), part(call.quantizer.v, call.cache.v), first};
}

/// Queries of some kv heads, as computed and as codes.
struct Queries {
  QueryTile tile;
  int64_t kv_head = 0;
  Matrix q;
  std::vector<QueryCodes> codes;  // per kv head

  Queries(const AttentionCall& call, int64_t first_kv_head, int64_t kv_heads, int64_t first,
          int64_t end)
      : tile(call.tile(first_kv_head, kv_heads, first, end)),
        kv_head(first_kv_head),
        q(stack_queries(call.q, tile, call.position, call.shape.head_dim)) {
    const int64_t rows = q.rows() / kv_heads;
    for (int64_t h = 0; h < kv_heads; ++h)
      codes.push_back(quantize_queries(q.view().rows_from(h * rows, rows), call.cache.layout->k,
                                       call.quantizer.attention_bits / 8));
  }
  int64_t kv_heads() const { return static_cast<int64_t>(codes.size()); }
  /// Those of the h-th kv head.
  HeadQueries head(int64_t h) const {
    const int64_t rows = q.rows() / kv_heads();
    return {q.view().rows_from(h * rows, rows), codes[static_cast<size_t>(h)], h * rows};
  }
};

/// Adds closed blocks [block, end).
void attend_closed(const AttentionCall& call, const Queries& queries, int64_t block, int64_t end,
                   RunningSoftmax& softmax) {
  const LayerCache& cache = call.cache;
  const int64_t heads = queries.kv_heads(), kv_head = queries.kv_head;
  BlockAttention attention(call.shape.head_dim, call.quantizer.attention_bits / 8, *cache.layout);
  for (int64_t b = block; b < end; ++b) {
    const KvBlock& stored = *cache.blocks[static_cast<size_t>(b)];
    // The head after this block's last one is fetched then; where it lies must be known before.
    if (b + 1 < end) __builtin_prefetch(cache.blocks[static_cast<size_t>(b + 1)].get());
    for (int64_t h = 0; h < heads; ++h) {
      const uint8_t* next = nullptr;
      if (h + 1 < heads)
        next = stored.head(kv_head + h + 1);
      else if (b + 1 < end)
        next = cache.blocks[static_cast<size_t>(b + 1)]->head(kv_head);
      attention.attend(stored, kv_head + h, plain_tile(call, kv_head + h, b * kBlock),
                       queries.head(h), call.scale(), next, softmax);
    }
  }
}

/// Adds the block of the queries.
void attend_own(const AttentionCall& call, const Queries& queries, RunningSoftmax& softmax) {
  const QueryTile& tile = queries.tile;
  const int64_t own = tile.first / kBlock * kBlock;
  RowScratch scratch(queries.q.rows() / queries.kv_heads(), call.shape.head_dim);
  for (int64_t h = 0; h < queries.kv_heads(); ++h) {
    const HeadQueries head = queries.head(h);
    attend_rows(head.q, head.first, tile,
                fresh_tile(call, queries.kv_head + h, own, tile.first + tile.count), call.scale(),
                scratch, softmax);
  }
}

/// Query tokens of several blocks: an item is the tokens of one block and one kv head, the longest
/// first.
void attend_tiles(const AttentionCall& call) {
  const int64_t first_tile = call.position / kBlock, kv_heads = call.shape.kv_heads;
  const int64_t tiles = (call.end() + kBlock - 1) / kBlock - first_tile;
  for_each_item(call, tiles * kv_heads, [&](int64_t i) {
    const int64_t tile = first_tile + tiles - 1 - i / kv_heads;
    const Queries queries(call, i % kv_heads, 1, std::max(call.position, tile * kBlock),
                          std::min(call.end(), (tile + 1) * kBlock));
    RunningSoftmax softmax(queries.q.rows(), call.shape.head_dim);
    attend_closed(call, queries, 0, tile, softmax);
    attend_own(call, queries, softmax);
    softmax.write(queries.tile, call.position, call.out);
  });
}

/// Query tokens of one block: the closed blocks are cut into parts (of sizes that do not depend on
/// the number of threads), the own block is one more.
void attend_parts(const AttentionCall& call) {
  const int64_t blocks = call.position / kBlock, kv_heads = call.shape.kv_heads;
  const int64_t parts = std::min((blocks + kBlocksPerPart - 1) / kBlocksPerPart, kMostParts);
  // Few rows: all heads of a block at once, which reads memory in order.
  const int64_t heads = call.heads_per_kv() * call.q.rows <= kFewRows ? kv_heads : 1;
  std::vector<Queries> queries;
  for (int64_t head = 0; head < kv_heads; head += heads)
    queries.emplace_back(call, head, heads, call.position, call.end());
  const auto groups = static_cast<int64_t>(queries.size());
  std::vector<RunningSoftmax> results(static_cast<size_t>(groups * (parts + 1)),
                                      RunningSoftmax(queries[0].q.rows(), call.shape.head_dim));
  for_each_item(call, groups * (parts + 1), [&](int64_t i) {
    const Queries& group = queries[static_cast<size_t>(i % groups)];
    const int64_t part = i / groups;
    RunningSoftmax& softmax = results[static_cast<size_t>(i)];
    if (part == parts)
      attend_own(call, group, softmax);
    else
      attend_closed(call, group, blocks * part / parts, blocks * (part + 1) / parts, softmax);
  });
  for (int64_t group = 0; group < groups; ++group) {
    RunningSoftmax& own = results[static_cast<size_t>(parts * groups + group)];
    for (int64_t part = 0; part < parts; ++part)
      own.merge(results[static_cast<size_t>(part * groups + group)], call.scale());
    own.write(queries[static_cast<size_t>(group)].tile, call.position, call.out);
  }
}

/// Packs every block that ends in (position, end].
void close_blocks(const AttentionCall& call) {
  const auto& [q, k, v, position, shape, quantizer, cache, out] = call;
  const int64_t first_block = position / kBlock, count = call.end() / kBlock - first_block;
  for (int64_t first = first_block * kBlock; first + kBlock <= call.end(); first += kBlock)
    cache.blocks.push_back(std::make_shared<const KvBlock>(new_kv_block(
        cache.layout_at(quantizer, shape.head_dim, first), shape.kv_heads, *cache.arena)));
  parallel_for(count, [&](int64_t i) {
    const int64_t first = (first_block + i) * kBlock;
    fill_kv_block(quantizer.k, quantizer.v,
                  fresh_rows(call, quantizer.k.active(), cache.k, k, first),
                  fresh_rows(call, quantizer.v.active(), cache.v, v, first), first,
                  *cache.blocks[static_cast<size_t>(first_block + i)]);
  });
}

/// Rows of the block that is open before the chunk; all rows of a part that is not packed.
void append(const AttentionCall& call, bool packed, ConstFloatView rows, Matrix& cache) {
  const int64_t first = packed ? call.position % kBlock : call.position;
  append_rows(rows.rows_from(0, std::min(rows.rows, cache.rows() - first)), first, cache);
}

/// Rows of the block that is open after the chunk, when another was before.
void reopen(const AttentionCall& call, bool packed, ConstFloatView rows, Matrix& cache) {
  const int64_t open = call.end() / kBlock * kBlock;
  if (packed && open > call.position)
    append_rows(rows.rows_from(open - call.position, call.end() - open), 0, cache);
}

}  // namespace

void attention_over_blocks(const AttentionCall& call) {
  LayerCache& cache = call.cache;
  const bool k_packed = call.quantizer.k.active(), v_packed = call.quantizer.v.active();
  append(call, k_packed, call.k, cache.k);
  append(call, v_packed, call.v, cache.v);
  close_blocks(call);
  if ((call.end() - 1) / kBlock == call.position / kBlock)
    attend_parts(call);
  else
    attend_tiles(call);
  reopen(call, k_packed, call.k, cache.k);
  reopen(call, v_packed, call.v, cache.v);
}

}  // namespace stamp
