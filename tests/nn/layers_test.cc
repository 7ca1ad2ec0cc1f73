#include "stamp/nn/layers.h"

#include <gtest/gtest.h>

#include <cmath>

#include "random_matrix.h"

namespace stamp {
namespace {

TEST(Layers, RmsNormInPlace) {
  Rng rng(1);
  const Matrix x = random_matrix(rng, 20, 37);
  const std::vector<float> weight(37, 2.0f);
  Matrix y = x;
  rms_norm_rows(y.view(), weight, 1e-6, y.view());
  for (int64_t i = 0; i < 20; ++i) {
    double square = 0;
    for (int64_t j = 0; j < 37; ++j) square += static_cast<double>(x(i, j)) * x(i, j);
    for (int64_t j = 0; j < 37; ++j)
      EXPECT_NEAR(y(i, j), 2 * x(i, j) / std::sqrt(square / 37 + 1e-6), 1e-5);
  }
  EXPECT_THROW(rms_norm_rows(y.view(), {weight.data(), 3}, 1e-6, y.view()), std::invalid_argument);
}

TEST(Layers, SiluAndAdd) {
  Rng rng(2);
  const Matrix gate = random_matrix(rng, 3, 19), up = random_matrix(rng, 3, 19);
  Matrix x = gate;
  silu_multiply(x.view(), up.view());
  add_rows(x.view(), gate.view());
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t j = 0; j < 19; ++j)
      EXPECT_NEAR(x(i, j), gate(i, j) + gate(i, j) / (1 + std::exp(-gate(i, j))) * up(i, j), 1e-5);
  Matrix small(3, 18);
  EXPECT_THROW(add_rows(x.view(), small.view()), std::invalid_argument);
  EXPECT_THROW(silu_multiply(x.view(), small.view()), std::invalid_argument);
}

TEST(Layers, RotatingHeadsKeepsScoresWithinHeads) {
  Rng rng(3);
  const Matrix q = random_matrix(rng, 2, 48), k = random_matrix(rng, 2, 48);
  Matrix rotated_q = q, rotated_k = k;
  const HadamardPlan plan = plan_hadamard(16);
  rotate_heads(rotated_q.view(), 16, plan);
  rotate_heads(rotated_k.view(), 16, plan);
  EXPECT_GT(relative_error(rotated_k.view(), k.view()), 0.1);
  for (int64_t head = 0; head < 3; ++head) {
    double want = 0, got = 0;
    for (int64_t j = head * 16; j < head * 16 + 16; ++j) {
      want += q(0, j) * k(1, j);
      got += rotated_q(0, j) * rotated_k(1, j);
    }
    EXPECT_NEAR(got, want, 1e-4);
  }
  EXPECT_THROW(rotate_heads(rotated_q.view(), 20, plan), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
