#include "stamp/nn/linear_attention.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/nn/random_matrix.h"

namespace stamp {
namespace {

TEST(LinearAttention, AgreesWithTheQuadraticForm) {
  for (const int64_t tokens : {1, 5, 255, 256, 600}) {
    constexpr int64_t kDim = 6, kHeads = 3;
    Matrix q = random_matrix(tokens, kHeads * kDim, 1), k = random_matrix(tokens, kHeads * kDim, 2);
    const Matrix v = random_matrix(tokens, kHeads * kDim, 3);
    const Matrix q0 = q, k0 = k;
    Matrix out(tokens, kHeads * kDim);
    relu_linear_attention(q.view(), k.view(), v.view(), kDim, 1e-15, out.view());
    for (int64_t head = 0; head < kHeads; ++head)
      for (int64_t i = 0; i < tokens; i += 1 + tokens / 7) {
        std::vector<double> sum(kDim);
        double total = 1e-15;
        for (int64_t j = 0; j < tokens; ++j) {
          double score = 0;
          for (int64_t d = 0; d < kDim; ++d)
            score += std::max(0.0, double{q0(i, head * kDim + d)}) *
                     std::max(0.0, double{k0(j, head * kDim + d)});
          total += score;
          for (int64_t d = 0; d < kDim; ++d)
            sum[static_cast<size_t>(d)] += score * v(j, head * kDim + d);
        }
        for (int64_t d = 0; d < kDim; ++d)
          ASSERT_NEAR(out(i, head * kDim + d), sum[static_cast<size_t>(d)] / total, 1e-5);
      }
  }
}

TEST(LinearAttention, RefusesWhatDoesNotFit) {
  Matrix q(4, 6), k(4, 6), v(4, 6), out(4, 6), narrow(4, 4);
  EXPECT_THROW(relu_linear_attention(q.view(), k.view(), v.view(), 4, 0, out.view()),
               std::invalid_argument);
  EXPECT_THROW(relu_linear_attention(q.view(), narrow.view(), v.view(), 2, 0, out.view()),
               std::invalid_argument);
}

}  // namespace
}  // namespace stamp
