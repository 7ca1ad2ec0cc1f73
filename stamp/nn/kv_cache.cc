#include "stamp/nn/kv_cache.h"

#include "stamp/core/error.h"
#include "stamp/nn/site_statistics.h"

namespace stamp {

KvQuantizer make_kv_quantizer(const Recipe& recipe, int layer, const Calibration* calibration) {
  const auto make = [&](const TokenSpec& spec, const char* part) {
    return make_token_quantizer(spec, fmt::format("layers.{}.{}", layer, part), calibration);
  };
  return {make(recipe.k, "k"), make(recipe.v, "v"), recipe.kv_block};
}

HadamardPlan plan_kv_rotation(const KvSpec& spec, int64_t head_dim) {
  if (spec.bits == 16 || spec.rotation == "none") return {};
  const int64_t group = spec.quantizer.block;
  if (spec.rotation == "group" && (group < 1 || head_dim % group != 0))
    throw_argument("recipe: rotation: groups of {} do not divide heads of {}", group, head_dim);
  const int64_t order = spec.rotation == "group" ? group : head_dim & -head_dim;
  const int64_t blocks = head_dim / order;
  return {order, 1,
          blocks == 1 ? fmt::format("H_{}", order) : fmt::format("I_{} x H_{}", blocks, order)};
}

BitCount count_kv_bits(const KvQuantizer& quantizer, int64_t tokens, int64_t kv_dim,
                       int64_t head_dim) {
  const int64_t block = quantizer.block > 0 ? quantizer.block : tokens;
  BitCount bits;
  for (const TokenQuantizer* part : {&quantizer.k, &quantizer.v}) {
    int64_t first = 0;
    for (; first + block <= tokens && tokens > 0; first += block)
      bits.add(part->count_bits(block, kv_dim, first, head_dim));
    const int64_t open = (tokens - first) * kv_dim;
    bits.add({16.0 * static_cast<double>(open), 0, open});
  }
  return bits;
}

KvCache::KvCache(int64_t layers, int64_t kv_dim, int64_t capacity) : capacity_(capacity) {
  if (layers < 1 || kv_dim < 1 || capacity < 1)
    throw_argument("KV cache: sizes must be at least 1, got {} layers, {} values, {} tokens",
                   layers, kv_dim, capacity);
  for (int64_t i = 0; i < layers; ++i)
    layers_.push_back({Matrix(capacity, kv_dim), Matrix(capacity, kv_dim)});
}

}  // namespace stamp
