#include "stamp/nn/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kv_fixtures.h"
#include "stamp/core/parallel.h"

namespace stamp {
namespace {

struct KeysValues {
  Matrix k, v;
};

/// Causal attention in fp64. A query of block b reads rows of earlier blocks from `stored`, its own
/// from `fresh`.
Matrix reference(ConstFloatView q, const KeysValues& fresh, const KeysValues& stored, int64_t block,
                 const AttentionShape& shape) {
  Matrix out(q.rows, q.cols);
  const int64_t dim = shape.head_dim, ratio = shape.heads / shape.kv_heads;
  for (int64_t i = 0; i < q.rows; ++i)
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t column = h / ratio * dim;
      std::vector<double> sum(static_cast<size_t>(dim));
      double total = 0;
      for (int64_t t = 0; t <= i; ++t) {
        const KeysValues& rows = t / block == i / block ? fresh : stored;
        double score = 0;
        for (int64_t d = 0; d < dim; ++d)
          score += static_cast<double>(q(i, h * dim + d)) * rows.k(t, column + d);
        const double p = std::exp(score / std::sqrt(static_cast<double>(dim)));
        total += p;
        for (int64_t d = 0; d < dim; ++d) sum[static_cast<size_t>(d)] += p * rows.v(t, column + d);
      }
      for (int64_t d = 0; d < dim; ++d)
        out(i, h * dim + d) = static_cast<float>(sum[static_cast<size_t>(d)] / total);
    }
  return out;
}

struct Inputs {
  AttentionShape shape;
  Matrix q, k, v;
};

Inputs make_inputs(int64_t tokens, const AttentionShape& shape, double q_scale = 2.0) {
  Rng rng(static_cast<uint64_t>(tokens));
  return {shape, random_matrix(rng, tokens, shape.heads * shape.head_dim, q_scale),
          smooth_matrix(rng, tokens, shape.kv_heads * shape.head_dim),
          smooth_matrix(rng, tokens, shape.kv_heads * shape.head_dim)};
}

LayerCache empty_cache(const Inputs& in) {
  return {.capacity = in.k.rows(), .kv_dim = in.k.cols()};
}

/// The whole input in chunks of the given sizes (the last one repeats).
Matrix run(const Inputs& in, const KvQuantizer& quantizer, const std::vector<int64_t>& chunks,
           LayerCache& cache) {
  Matrix out(in.q.rows(), in.q.cols());
  int64_t position = 0;
  for (size_t i = 0; position < in.q.rows(); ++i) {
    const int64_t count = std::min(chunks[std::min(i, chunks.size() - 1)], in.q.rows() - position);
    attention(in.q.view().rows_from(position, count), in.k.view().rows_from(position, count),
              in.v.view().rows_from(position, count), position, in.shape, quantizer, cache,
              out.view().rows_from(position, count));
    position += count;
  }
  return out;
}

KvQuantizer plain() { return {TokenQuantizer(TokenSpec{}), TokenQuantizer(TokenSpec{}), 64}; }

KvQuantizer quantized(int block, const std::string& transform = "haar") {
  const TokenSpec spec = kv_spec(3, transform, "fraction", 1);
  return {TokenQuantizer(spec), TokenQuantizer(spec), block};
}

/// What the cache decodes to once all of `in` is in it.
KeysValues simulate(const Inputs& in, const KvQuantizer& quantizer) {
  KeysValues stored{in.k, in.v};
  for (int64_t first = 0; first + quantizer.block <= in.k.rows(); first += quantizer.block) {
    quantizer.k.apply(stored.k.view().rows_from(first, quantizer.block), first, in.shape.head_dim);
    quantizer.v.apply(stored.v.view().rows_from(first, quantizer.block), first, in.shape.head_dim);
  }
  return stored;
}

const AttentionShape kShapes[] = {{1, 1, 8}, {6, 2, 16}, {4, 4, 24}, {5, 1, 64}};
const std::vector<std::vector<int64_t>> kChunkings = {{1000}, {70, 1, 1, 64, 63}, {30, 7}, {1}};

TEST(Attention, MatchesFp64InAnyChunking) {
  for (const AttentionShape& shape : kShapes)
    for (const int64_t tokens : {1, 63, 64, 65, 200}) {
      const Inputs in = make_inputs(tokens, shape);
      const KeysValues fresh{in.k, in.v};
      const Matrix want = reference(in.q.view(), fresh, fresh, 64, shape);
      for (const auto& chunks : kChunkings) {
        LayerCache cache = empty_cache(in);
        EXPECT_LT(relative_error(run(in, plain(), chunks, cache).view(), want.view()), 3e-6)
            << tokens << " tokens, " << shape.heads << " heads, first chunk " << chunks[0];
        EXPECT_EQ(relative_error(cache.k.view(), in.k.view()), 0.0);
      }
    }
}

TEST(Attention, SimulatedCacheIsTheSameInAnyChunking) {
  const Inputs in = make_inputs(200, {6, 2, 16});
  for (const auto& [block, transform] :
       {std::pair{64, "dct"}, {32, "haar"}, {128, "haar"}, {48, "haar"}}) {
    const KvQuantizer quantizer = quantized(block, transform);
    ASSERT_EQ(kv_storage(quantizer, 16), KvStorage::kSimulated);
    const KeysValues fresh{in.k, in.v}, stored = simulate(in, quantizer);
    const Matrix want = reference(in.q.view(), fresh, stored, block, in.shape);
    EXPECT_GT(
        relative_error(want.view(), reference(in.q.view(), fresh, fresh, block, in.shape).view()),
        1e-3);
    for (const auto& chunks : kChunkings) {
      LayerCache cache = empty_cache(in);
      EXPECT_LT(relative_error(run(in, quantizer, chunks, cache).view(), want.view()), 1e-5)
          << "block " << block << ", first chunk " << chunks[0];
      EXPECT_EQ(relative_error(cache.k.view(), stored.k.view()), 0.0);
      EXPECT_EQ(relative_error(cache.v.view(), stored.v.view()), 0.0);
    }
  }
}

/// Packed attention in several chunkings against fp64 over the simulated rows.
void expect_packed(const Inputs& in, KvQuantizer quantizer, const std::string& what,
                   const std::vector<std::vector<int64_t>>& chunkings = {{1000}, {70, 1, 64, 33}}) {
  ASSERT_EQ(kv_storage(quantizer, in.shape.head_dim), KvStorage::kPacked) << what;
  const KeysValues fresh{in.k, in.v};
  const Matrix want = reference(in.q.view(), fresh, simulate(in, quantizer), 64, in.shape);
  for (const auto& [bits, tolerance] : {std::pair{16, 4e-4}, {8, 0.1}}) {
    quantizer.attention_bits = bits;
    for (const auto& chunks : chunkings) {
      LayerCache cache = empty_cache(in);
      EXPECT_LT(relative_error(run(in, quantizer, chunks, cache).view(), want.view()), tolerance)
          << what << ", " << in.shape.heads << " heads, " << in.shape.kv_heads << " kv heads of "
          << in.shape.head_dim << ", operands of " << bits << " bits, first chunk " << chunks[0];
    }
  }
}

KvQuantizer both(const TokenQuantizer& quantizer) { return {quantizer, quantizer, 64}; }

TEST(PackedAttention, MatchesTheSimulationAtEveryWidth) {
  const Inputs in = make_inputs(140, {4, 2, 64}, 0.5);
  for (int bits = 2; bits <= 8; ++bits)
    for (const char* transform : {"identity", "haar"})
      expect_packed(in, both(TokenQuantizer(kv_spec(bits, transform, "fraction", 1))),
                    fmt::format("{} bits, {}", bits, transform));
  for (const double average : {2.2, 3.0, 4.125})
    for (const int min_bits : {0, 2})
      expect_packed(in, both(waterfill_quantizer("haar", average, min_bits, 1)),
                    fmt::format("waterfill {} from {}", average, min_bits));
}

TEST(PackedAttention, AnyShapeInAnyChunking) {
  const AttentionShape shapes[] = {{1, 1, 4},  {6, 2, 24},  {4, 4, 64},
                                   {5, 1, 80}, {2, 2, 128}, {40, 1, 64}};
  for (const AttentionShape& shape : shapes)
    expect_packed(make_inputs(140, shape, 0.5),
                  both(TokenQuantizer(kv_spec(4, "haar", "fraction", 1))), "4 bits", kChunkings);
}

TEST(PackedAttention, SinksLevelsSymmetryAndGroups) {
  const Inputs in = make_inputs(130, {4, 2, 80}, 0.5);
  for (int levels = 1; levels <= 6; ++levels)
    for (const int sinks : {0, 3, 16}) {
      TokenSpec spec = kv_spec(4, "haar", "fraction", sinks);
      spec.sequence.levels = levels;
      spec.quantizer.symmetric = levels % 2 == 0;
      spec.quantizer.block = levels % 3 == 0 ? 0 : 8 * levels;
      expect_packed(in, both(TokenQuantizer(spec)),
                    fmt::format("{} levels, {} sinks", levels, sinks));
    }
}

TEST(PackedAttention, KeysAndValuesAreIndependent) {
  const Inputs in = make_inputs(140, {12, 2, 24}, 0.5);
  const TokenQuantizer packed(kv_spec(4, "haar", "fraction", 2)), plain(TokenSpec{}),
      other(kv_spec(2, "identity"));
  expect_packed(in, {packed, plain, 64}, "V 16 bit", kChunkings);
  expect_packed(in, {plain, packed, 64}, "K 16 bit", kChunkings);
  expect_packed(in, {packed, other, 64}, "K 4, V 2 bit");
}

TEST(PackedAttention, LongDecodingMergesParts) {
  const Inputs in = make_inputs(64 * 40 + 7, {4, 2, 16});
  const KvQuantizer quantizer = quantized(64);
  LayerCache cache = empty_cache(in), other = empty_cache(in);
  const int64_t last = in.q.rows() - 1;
  const Matrix whole = run(in, quantizer, {10000}, cache);
  const Matrix steps = run(in, quantizer, {last - 2, 1}, other);
  EXPECT_LT(relative_error(steps.view().rows_from(last, 1), whole.view().rows_from(last, 1)), 2e-5);
}

TEST(PackedAttention, DoesNotDependOnThreads) {
  const Inputs in = make_inputs(64 * 20 + 7, {4, 2, 16});
  const KvQuantizer quantizer = quantized(64);
  const int before = threads();
  std::vector<Matrix> results;
  for (const int count : {1, 3}) {
    set_threads(count);
    LayerCache cache = empty_cache(in);
    results.push_back(run(in, quantizer, {in.q.rows() - 2, 1}, cache));
  }
  set_threads(before);
  EXPECT_EQ(relative_error(results[0].view(), results[1].view()), 0.0);
}

TEST(PackedAttention, NanQueriesGiveNan) {
  Inputs in = make_inputs(130, {2, 1, 16});
  in.q(129, 3) = std::nanf("");
  LayerCache cache = empty_cache(in);
  const Matrix got = run(in, quantized(64), {1000}, cache);
  EXPECT_TRUE(std::isnan(got(129, 0)));
  EXPECT_TRUE(std::isfinite(got(128, 0)));
  EXPECT_TRUE(std::isfinite(got(129, 16)));
}

TEST(Attention, BlockZeroQuantizesTheWholeChunkFirst) {
  const Inputs in = make_inputs(150, {6, 2, 16});
  const KvQuantizer quantizer = quantized(0);
  KeysValues stored{in.k, in.v};
  quantizer.k.apply(stored.k.view(), 0, 16);
  quantizer.v.apply(stored.v.view(), 0, 16);
  LayerCache cache = empty_cache(in);
  const Matrix got = run(in, quantizer, {1000}, cache);
  EXPECT_LT(relative_error(got.view(), reference(in.q.view(), stored, stored, 64, in.shape).view()),
            1e-5);
}

TEST(Attention, LargeScoresDoNotOverflow) {
  Inputs in = make_inputs(130, {2, 1, 16});
  for (int64_t i = 0; i < in.q.size(); ++i) in.q.data()[i] *= 1e4f;
  for (const KvQuantizer& quantizer : {plain(), quantized(64)}) {
    LayerCache cache = empty_cache(in);
    const Matrix got = run(in, quantizer, {1000}, cache);
    for (int64_t i = 0; i < got.size(); ++i) ASSERT_TRUE(std::isfinite(got.data()[i]));
  }
}

TEST(Attention, RejectsWhatDoesNotFit) {
  const Inputs in = make_inputs(10, {6, 2, 16});
  LayerCache cache = empty_cache(in);
  Matrix out(10, 96), narrow(10, 95);
  const auto call = [&](int64_t position, const AttentionShape& shape, Matrix& result) {
    attention(in.q.view(), in.k.view(), in.v.view(), position, shape, plain(), cache,
              result.view());
  };
  EXPECT_THROW(call(1, in.shape, out), std::invalid_argument);  // the cache is empty
  LayerCache small{.capacity = 9, .kv_dim = in.k.cols()};
  EXPECT_THROW(
      attention(in.q.view(), in.k.view(), in.v.view(), 0, in.shape, plain(), small, out.view()),
      std::invalid_argument);  // full
  EXPECT_THROW(call(-1, in.shape, out), std::invalid_argument);
  EXPECT_THROW(call(0, in.shape, narrow), std::invalid_argument);
  EXPECT_THROW(call(0, {6, 4, 16}, out), std::invalid_argument);
  EXPECT_THROW(call(0, {6, 0, 16}, out), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
