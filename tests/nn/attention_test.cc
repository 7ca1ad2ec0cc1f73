#include "stamp/nn/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "random_matrix.h"

namespace stamp {
namespace {

/// Causal attention in fp64. A query of block b reads rows of earlier blocks from `stored`, its own
/// from `fresh`.
Matrix reference(ConstFloatView q, const LayerCache& fresh, const LayerCache& stored, int64_t block,
                 const AttentionShape& shape) {
  Matrix out(q.rows, q.cols);
  const int64_t dim = shape.head_dim, ratio = shape.heads / shape.kv_heads;
  for (int64_t i = 0; i < q.rows; ++i)
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t column = h / ratio * dim;
      std::vector<double> sum(static_cast<size_t>(dim));
      double total = 0;
      for (int64_t t = 0; t <= i; ++t) {
        const LayerCache& rows = t / block == i / block ? fresh : stored;
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

Inputs make_inputs(int64_t tokens, const AttentionShape& shape) {
  Rng rng(static_cast<uint64_t>(tokens));
  return {shape, random_matrix(rng, tokens, shape.heads * shape.head_dim, 2.0),
          smooth_matrix(rng, tokens, shape.kv_heads * shape.head_dim),
          smooth_matrix(rng, tokens, shape.kv_heads * shape.head_dim)};
}

LayerCache empty_cache(const Inputs& in) {
  return {Matrix(in.k.rows(), in.k.cols()), Matrix(in.k.rows(), in.k.cols())};
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

KvQuantizer quantized(int block) {
  TokenSpec spec;
  spec.bits = 3;
  spec.sequence.transform = "haar";
  spec.sequence.skip_tokens = 1;
  spec.plan.kind = "fraction";
  return {TokenQuantizer(spec), TokenQuantizer(spec), block};
}

const AttentionShape kShapes[] = {{1, 1, 8}, {6, 2, 16}, {4, 4, 24}, {5, 1, 64}};
const std::vector<std::vector<int64_t>> kChunkings = {{1000}, {70, 1, 1, 64, 63}, {30, 7}, {1}};

TEST(Attention, MatchesFp64InAnyChunking) {
  for (const AttentionShape& shape : kShapes)
    for (const int64_t tokens : {1, 63, 64, 65, 200}) {
      const Inputs in = make_inputs(tokens, shape);
      const LayerCache fresh{in.k, in.v};
      const Matrix want = reference(in.q.view(), fresh, fresh, 64, shape);
      for (const auto& chunks : kChunkings) {
        LayerCache cache = empty_cache(in);
        EXPECT_LT(relative_error(run(in, plain(), chunks, cache).view(), want.view()), 3e-6)
            << tokens << " tokens, " << shape.heads << " heads, first chunk " << chunks[0];
        EXPECT_EQ(relative_error(cache.k.view(), in.k.view()), 0.0);
      }
    }
}

TEST(Attention, QuantizedCacheIsTheSameInAnyChunking) {
  const Inputs in = make_inputs(200, {6, 2, 16});
  for (const int block : {64, 32, 128, 48}) {
    const KvQuantizer quantizer = quantized(block);
    const LayerCache fresh{in.k, in.v};
    LayerCache stored = fresh;
    for (int64_t first = 0; first + block <= 200; first += block) {
      quantizer.k.apply(stored.k.view().rows_from(first, block), first, 16);
      quantizer.v.apply(stored.v.view().rows_from(first, block), first, 16);
    }
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

TEST(Attention, BlockZeroQuantizesTheWholeChunkFirst) {
  const Inputs in = make_inputs(150, {6, 2, 16});
  const KvQuantizer quantizer = quantized(0);
  LayerCache stored{in.k, in.v};
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
  LayerCache cache = empty_cache(in);
  const Matrix got = run(in, plain(), {1000}, cache);
  for (int64_t i = 0; i < got.size(); ++i) ASSERT_TRUE(std::isfinite(got.data()[i]));
}

TEST(Attention, RejectsWhatDoesNotFit) {
  const Inputs in = make_inputs(10, {6, 2, 16});
  LayerCache cache = empty_cache(in);
  Matrix out(10, 96), narrow(10, 95);
  const auto call = [&](int64_t position, const AttentionShape& shape, Matrix& result) {
    attention(in.q.view(), in.k.view(), in.v.view(), position, shape, plain(), cache,
              result.view());
  };
  EXPECT_THROW(call(1, in.shape, out), std::invalid_argument);  // full
  EXPECT_THROW(call(-1, in.shape, out), std::invalid_argument);
  EXPECT_THROW(call(0, in.shape, narrow), std::invalid_argument);
  EXPECT_THROW(call(0, {6, 4, 16}, out), std::invalid_argument);
  EXPECT_THROW(call(0, {6, 0, 16}, out), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
