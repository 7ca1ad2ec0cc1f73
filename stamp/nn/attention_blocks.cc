// Attention over packed caches.
#include "stamp/nn/attention_block.h"
#include "stamp/nn/attention_call.h"
#include "stamp/nn/attention_softmax.h"

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
KeyTile fresh_tile(const AttentionCall& call, int64_t group, int64_t first, int64_t end) {
  const int64_t dim = call.shape.head_dim;
  const auto part = [&](const TokenQuantizer& quantizer, const Matrix& cache,
                        ConstFloatView chunk) {
    return fresh_rows(call, quantizer.active(), cache, chunk, first)
        .rows_from(0, end - first)
        .cols_from(group * dim, dim);
  };
  return {part(call.quantizer.k, call.cache.k, call.k),
          part(call.quantizer.v, call.cache.v, call.v), first};
}

/// fp32 rows of a closed block in the parts that are not packed.
KeyTile plain_tile(const AttentionCall& call, int64_t group, int64_t first) {
  const int64_t dim = call.shape.head_dim;
  const auto part = [&](const TokenQuantizer& quantizer, const Matrix& cache) -> ConstFloatView {
    if (quantizer.active()) return {};
    return cache.view().rows_from(first, kBlock).cols_from(group * dim, dim);
  };
  return {part(call.quantizer.k, call.cache.k), part(call.quantizer.v, call.cache.v), first};
}

/// The part of the work that one thread does at once: query heads of kv heads [head, head + heads)
/// of a tile of tokens against blocks [block, block_end) and perhaps their own block.
struct Item {
  int64_t first = 0, count = 0;  // query tokens
  int64_t head = 0, heads = 0;
  int64_t block = 0, block_end = 0;
  bool own = false;
};

struct HeadQueries {
  Matrix q;
  QueryCodes codes;
};

/// One RunningSoftmax per kv head of the item.
std::vector<RunningSoftmax> attend(const AttentionCall& call, const Item& item) {
  const LayerCache& cache = call.cache;
  const int64_t dim = call.shape.head_dim, rows = call.stacked_rows(item.count);
  const int planes = call.quantizer.attention_bits / 8;
  std::vector<HeadQueries> queries;
  std::vector<RunningSoftmax> result(static_cast<size_t>(item.heads), RunningSoftmax(rows, dim));
  for (int64_t h = 0; h < item.heads; ++h) {
    Matrix q =
        stack_queries(call.q, {item.head + h, item.first, item.count}, call.position, call.shape);
    QueryCodes codes = quantize_queries(q, cache.layout->k, planes);
    queries.push_back({std::move(q), std::move(codes)});
  }
  BlockAttention block_attention(dim, planes, *cache.layout);
  for (int64_t b = item.block; b < item.block_end; ++b) {
    const KvBlock& block = *cache.blocks[static_cast<size_t>(b)];
    for (int64_t h = 0; h < item.heads; ++h) {
      const uint8_t* next = nullptr;
      if (h + 1 < item.heads)
        next = block.head(item.head + h + 1);
      else if (b + 1 < item.block_end)
        next = cache.blocks[static_cast<size_t>(b + 1)]->head(item.head);
      const auto& [q, codes] = queries[static_cast<size_t>(h)];
      block_attention.attend(block, item.head + h, plain_tile(call, item.head + h, b * kBlock), q,
                             codes, call.scale(), next, result[static_cast<size_t>(h)]);
    }
  }
  if (!item.own) return result;
  RowScratch scratch(rows, dim);
  const int64_t own = item.first / kBlock * kBlock;
  for (int64_t h = 0; h < item.heads; ++h) {
    const QueryTile tile{item.head + h, item.first, item.count};
    attend_rows(queries[static_cast<size_t>(h)].q, tile,
                fresh_tile(call, tile.group, own, item.first + item.count), call.scale(), scratch,
                result[static_cast<size_t>(h)]);
  }
  return result;
}

/// Many query tokens: an item is a tile of a block's tokens and one kv head, the longest first.
void attend_tiles(const AttentionCall& call) {
  const int64_t first_tile = call.position / kBlock, kv_heads = call.shape.kv_heads;
  const int64_t tiles = (call.end() + kBlock - 1) / kBlock - first_tile;
  for_each_item(call, tiles * kv_heads, [&](int64_t i) {
    const int64_t tile = first_tile + tiles - 1 - i / kv_heads;
    const int64_t first = std::max(call.position, tile * kBlock);
    const int64_t count = std::min(call.end(), (tile + 1) * kBlock) - first;
    const Item item{first, count, i % kv_heads, 1, 0, tile, true};
    attend(call, item)[0].write({item.head, first, count}, call.position, call.out);
  });
}

/// Query tokens of one block: the closed blocks are cut into parts (of sizes that do not depend on
/// the number of threads), the own block is one more.
void attend_parts(const AttentionCall& call) {
  const int64_t blocks = call.position / kBlock, kv_heads = call.shape.kv_heads;
  const int64_t parts = std::min((blocks + kBlocksPerPart - 1) / kBlocksPerPart, kMostParts);
  // Few rows: all heads of a block at once, which reads memory in order.
  const int64_t heads = call.stacked_rows(call.q.rows) <= kFewRows ? kv_heads : 1;
  const int64_t groups = kv_heads / heads;
  std::vector<std::vector<RunningSoftmax>> results(static_cast<size_t>((parts + 1) * groups));
  for_each_item(call, (parts + 1) * groups, [&](int64_t i) {
    const int64_t part = i / groups;
    Item item{call.position, call.q.rows, i % groups * heads, heads, 0, 0, part == parts};
    if (!item.own) {
      item.block = blocks * part / parts;
      item.block_end = blocks * (part + 1) / parts;
    }
    results[static_cast<size_t>(i)] = attend(call, item);
  });
  for (int64_t head = 0; head < kv_heads; ++head) {
    const auto of_part = [&](int64_t part) -> RunningSoftmax& {
      return results[static_cast<size_t>(part * groups + head / heads)]
                    [static_cast<size_t>(head % heads)];
    };
    for (int64_t part = 0; part < parts; ++part) of_part(parts).merge(of_part(part), call.scale());
    of_part(parts).write({head, call.position, call.q.rows}, call.position, call.out);
  }
}

/// Packs every block that ends in (position, end].
void close_blocks(const AttentionCall& call) {
  const auto& [q, k, v, position, shape, quantizer, cache, out] = call;
  const int64_t first_block = position / kBlock, count = call.end() / kBlock - first_block;
  const int64_t sinks =
      std::max(quantizer.k.spec().sequence.skip_tokens, quantizer.v.spec().sequence.skip_tokens);
  cache.blocks.resize(static_cast<size_t>(first_block + count));
  parallel_for(count, [&](int64_t i) {
    const int64_t first = (first_block + i) * kBlock;
    auto layout = first >= sinks ? cache.layout
                                 : std::make_shared<const KvHeadLayout>(make_kv_layout(
                                       quantizer.k, quantizer.v, shape.head_dim, first));
    cache.blocks[static_cast<size_t>(first_block + i)] =
        std::make_shared<const KvBlock>(make_kv_block(
            quantizer.k, quantizer.v, std::move(layout),
            fresh_rows(call, quantizer.k.active(), cache.k, k, first),
            fresh_rows(call, quantizer.v.active(), cache.v, v, first), shape.kv_heads, first));
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
