// Attention over packed K and V in the shape of a 1B model: 16 layers, 32 heads, 8 kv heads of 64.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/nn/attention.h"

namespace stamp {
namespace {

constexpr AttentionShape kShape{32, 8, 64};
constexpr int64_t kLayers = 16, kKvDim = kShape.kv_heads * kShape.head_dim;

Matrix random_rows(int64_t rows, int64_t cols) {
  Rng rng(static_cast<uint64_t>(cols));
  Matrix result(rows, cols);
  for (int64_t i = 0; i < result.size(); ++i) result.data()[i] = static_cast<float>(rng.normal());
  return result;
}

/// 16 bits: plain; else Haar with two rows of 8 bits (64 * (bits + 1/8) in a block).
KvQuantizer quantizer(int bits, int attention_bits) {
  TokenSpec spec;
  spec.bits = bits;
  spec.sequence.transform = "haar";
  spec.sequence.skip_tokens = 1;
  spec.plan.kind = "fraction";
  return {TokenQuantizer(spec), TokenQuantizer(spec), 64, attention_bits};
}

struct Chunk {
  Matrix q, k, v, out;
  explicit Chunk(int64_t tokens)
      : q(random_rows(tokens, kShape.heads * kShape.head_dim)),
        k(random_rows(tokens, kKvDim)),
        v(random_rows(tokens, kKvDim)),
        out(tokens, q.cols()) {}

  void run(const KvQuantizer& kv, KvCache& cache) {
    for (int64_t layer = 0; layer < kLayers; ++layer)
      attention(q.view(), k.view(), v.view(), cache.tokens(), kShape, kv, cache.layer(layer),
                out.view());
    cache.advance(q.rows());
  }
};

/// A cache of `depth` tokens, a multiple of 64: the second block of a short prefill again and again
/// (in memory of its own), or rows of nothing.
void fill(const KvQuantizer& kv, int64_t depth, KvCache& cache) {
  Chunk(128).run(kv, cache);
  for (int64_t i = 0; i < kLayers; ++i) {
    LayerCache& layer = cache.layer(i);
    while (!layer.blocks.empty() && static_cast<int64_t>(layer.blocks.size()) * 64 < depth)
      layer.blocks.push_back(
          std::make_shared<const KvBlock>(copy_kv_block(*layer.blocks[1], *layer.arena)));
    for (Matrix* rows : {&layer.k, &layer.v})
      if (rows->rows() >= depth) std::fill_n(rows->row(128), (depth - 128) * kKvDim, 0.5f);
    layer.tokens = depth;
  }
  cache.advance(depth - 128);
}

/// One token at a time behind `depth` cached ones.
void decode(benchmark::State& state, int bits, int attention_bits) {
  const int64_t depth = state.range(0);
  const KvQuantizer kv = quantizer(bits, attention_bits);
  KvCache cache(kLayers, kKvDim, depth + (1 << 16));
  fill(kv, depth, cache);
  Chunk token(1);
  for (auto _ : state) token.run(kv, cache);
  state.counters["cache_MB"] = static_cast<double>(cache.bytes()) * 1e-6;
}

void prefill(benchmark::State& state, int bits, int attention_bits) {
  const KvQuantizer kv = quantizer(bits, attention_bits);
  Chunk chunk(state.range(0));
  for (auto _ : state) {
    KvCache cache(kLayers, kKvDim, chunk.q.rows());
    chunk.run(kv, cache);
  }
}

void add_all() {
  struct Row {
    int bits, attention_bits;
  };
  for (const Row& row : {Row{16, 16}, {4, 16}, {4, 8}, {3, 16}, {2, 16}, {8, 16}}) {
    const std::string name =
        "/kv" + std::to_string(row.bits) + "/operands" + std::to_string(row.attention_bits);
    benchmark::RegisterBenchmark(("decode" + name).c_str(), decode, row.bits, row.attention_bits)
        ->Arg(4096)
        ->Arg(16384)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
    benchmark::RegisterBenchmark(("prefill" + name).c_str(), prefill, row.bits, row.attention_bits)
        ->Arg(2048)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
}

}  // namespace
}  // namespace stamp

int main(int argc, char** argv) {
  stamp::add_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
