#include "stamp/nn/full_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/nn/random_matrix.h"

namespace stamp {
namespace {

/// The definition in fp64.
Matrix naive(const Matrix& q, const Matrix& k, const Matrix& v, const FullAttention& o) {
  Matrix out(q.rows(), q.cols());
  for (int64_t head = 0; head < o.heads; ++head)
    for (int64_t i = 0; i < q.rows(); ++i) {
      const int64_t kv = head / (o.heads / o.kv_heads) * o.head_dim, own = head * o.head_dim;
      std::vector<double> weights;
      double sum = 0;
      for (int64_t j = 0; j < k.rows(); ++j) {
        double score = 0;
        for (int64_t d = 0; d < o.head_dim; ++d) score += double{q(i, own + d)} * k(j, kv + d);
        score *= o.scale;
        if (o.soft_cap > 0) score = o.soft_cap * std::tanh(score / o.soft_cap);
        if (o.relative_bias.data) score += o.relative_bias(head, j - i + q.rows() - 1);
        if (!o.key_bias.empty()) score += o.key_bias[static_cast<size_t>(j)];
        const bool visible = !o.causal || (j <= i && (o.window == 0 || i - j < o.window));
        weights.push_back(visible ? std::exp(score) : 0.0);
        sum += weights.back();
      }
      for (int64_t d = 0; d < o.head_dim; ++d) {
        double value = 0;
        for (int64_t j = 0; j < k.rows(); ++j)
          value += weights[static_cast<size_t>(j)] * v(j, kv + d);
        out(i, own + d) = static_cast<float>(value / sum);
      }
    }
  return out;
}

void expect_agrees(int64_t queries, int64_t keys, const FullAttention& o, uint64_t seed) {
  const Matrix q = random_matrix(queries, o.heads * o.head_dim, seed);
  const Matrix k = random_matrix(keys, o.kv_heads * o.head_dim, seed + 1);
  const Matrix v = random_matrix(keys, o.kv_heads * o.head_dim, seed + 2);
  Matrix out(queries, q.cols());
  full_attention(q.view(), k.view(), v.view(), o, out.view());
  const Matrix want = naive(q, k, v, o);
  for (int64_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out.data()[i], want.data()[i], 5e-6);
}

TEST(FullAttention, AgreesWithTheDefinition) {
  for (const auto& [queries, keys] :
       {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {70, 130}, {65, 700}})
    for (const int64_t head_dim : {1, 12, 33})
      expect_agrees(queries, keys, {.heads = 4, .kv_heads = 2, .head_dim = head_dim, .scale = 0.4f},
                    3);
}

TEST(FullAttention, BiasesAndCaps) {
  const Matrix relative = random_matrix(2, 600 + 80 - 1, 5);
  Matrix keys = random_matrix(1, 600, 6);
  keys(0, 3) = keys(0, 599) = -1e30f;
  expect_agrees(80, 600,
                {.heads = 2,
                 .kv_heads = 2,
                 .head_dim = 8,
                 .scale = 0.5f,
                 .soft_cap = 3.0f,
                 .key_bias = keys.view().row_span(0),
                 .relative_bias = relative.view()},
                7);
}

TEST(FullAttention, CausalWithAWindow) {
  for (const int64_t window : {0, 1, 9, 100, 1000})
    expect_agrees(
        620, 620,
        {.heads = 2, .kv_heads = 1, .head_dim = 4, .scale = 1.0f, .causal = true, .window = window},
        8);
}

TEST(FullAttention, RefusesWhatDoesNotFit) {
  Matrix q(2, 8), k(3, 8), out(2, 8);
  const FullAttention good{.heads = 2, .kv_heads = 2, .head_dim = 4};
  const auto run = [&](const FullAttention& o, const Matrix& keys) {
    full_attention(q.view(), keys.view(), keys.view(), o, out.view());
  };
  FullAttention heads = good, bias = good;
  heads.head_dim = 5;
  const std::vector<float> two(2);
  bias.key_bias = two;
  EXPECT_THROW(run(heads, k), std::invalid_argument);
  EXPECT_THROW(run(bias, k), std::invalid_argument);
  EXPECT_THROW(run(good, Matrix(0, 8)), std::invalid_argument);
  EXPECT_THROW(run(good, Matrix(3, 4)), std::invalid_argument);
}

/// dB of the definition over what 8-bit operands change.
double eight_bit_sqnr(int64_t queries, int64_t keys, FullAttention o, float key_offset) {
  const Matrix q = random_matrix(queries, o.heads * o.head_dim, 1);
  Matrix k = random_matrix(keys, o.kv_heads * o.head_dim, 2);
  const Matrix v = random_matrix(keys, o.kv_heads * o.head_dim, 3);
  for (int64_t i = 0; i < k.size(); ++i) k.data()[i] += key_offset;
  Matrix out(queries, q.cols());
  o.eight_bits = true;
  full_attention(q.view(), k.view(), v.view(), o, out.view());
  const Matrix want = naive(q, k, v, o);
  double signal = 0, noise = 0;
  for (int64_t i = 0; i < out.size(); ++i) {
    signal += double{want.data()[i]} * want.data()[i];
    noise += std::pow(double{want.data()[i]} - out.data()[i], 2);
  }
  return 10 * std::log10(signal / noise);
}

TEST(FullAttention, EightBitOperandsStayClose) {
  for (const auto& [queries, keys] :
       {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {70, 130}, {64, 256}})
    for (const int64_t head_dim : {3, 72, 130})
      EXPECT_GT(eight_bit_sqnr(queries, keys,
                               {.heads = 4,
                                .kv_heads = 2,
                                .head_dim = head_dim,
                                .scale = 1 / std::sqrt(static_cast<float>(head_dim))},
                               0.0f),
                35)
          << queries << " queries, " << keys << " keys of " << head_dim;
}

TEST(FullAttention, EightBitOperandsDoNotSeeWhatAllKeysShare) {
  const FullAttention o{.heads = 2, .kv_heads = 2, .head_dim = 16, .scale = 0.25f};
  EXPECT_GT(eight_bit_sqnr(60, 300, o, 50.0f), 35);
}

TEST(FullAttention, EightBitOperandsOfPeakedScores) {
  const FullAttention o{.heads = 2, .kv_heads = 2, .head_dim = 16, .scale = 4.0f};
  EXPECT_GT(eight_bit_sqnr(60, 300, o, 0.0f), 20);
}

TEST(FullAttention, EightBitOperandsGoWithoutBiases) {
  const Matrix x = random_matrix(4, 8, 1);
  Matrix out(4, 8);
  const FullAttention o{
      .heads = 1, .kv_heads = 1, .head_dim = 8, .causal = true, .eight_bits = true};
  EXPECT_THROW(full_attention(x.view(), x.view(), x.view(), o, out.view()), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
