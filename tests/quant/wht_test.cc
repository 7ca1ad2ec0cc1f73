#include "stamp/quant/wht.h"

#include <gtest/gtest.h>

#include "tests/quant/matrices.h"

namespace stamp {
namespace {

/// The transform as a dense matrix.
Matrix dense(int64_t n) {
  Matrix h = Matrix::zeros(n, n);
  for (int64_t i = 0; i < n; ++i) h(i, i) = 1;
  wht_forward(h.view(), 0);
  return h;
}

struct Support {
  int64_t first = 0, count = 0, changes = 0;
};

Support support_of(const float* row, int64_t n) {
  Support support{-1, 0, 0};
  for (int64_t i = 0; i < n; ++i) {
    if (std::abs(row[i]) < 1e-6) continue;
    if (support.first < 0) support.first = i;
    if (support.count > 0 && row[i] * row[i - 1] < 0) ++support.changes;
    ++support.count;
  }
  return support;
}

TEST(Wht, FourNumbersByHand) {
  Matrix x = column({1, 2, 3, 6});
  wht_forward(x.view(), 0);
  EXPECT_LT(largest_difference(x, column({6, -3, 1, -2})), 1e-6);
}

TEST(Wht, RowsHaveAscendingSignChanges) {
  for (const int64_t n : {1, 2, 8, 64}) {
    const Matrix h = dense(n);
    for (int64_t i = 0; i < n; ++i) EXPECT_EQ(support_of(h.row(i), n).changes, i);
  }
}

TEST(Wht, OtherLengthsAreBlocksSortedBySequency) {
  const int64_t n = 11;  // 8 + 2 + 1
  const Matrix h = dense(n);
  double previous = 0;
  int64_t previous_block = n;
  for (int64_t i = 0; i < n; ++i) {
    const Support support = support_of(h.row(i), n);
    EXPECT_EQ(support.first, support.count == 8 ? 0 : (support.count == 2 ? 8 : 10));
    const double sequency =
        static_cast<double>(support.changes) / static_cast<double>(support.count);
    EXPECT_TRUE(sequency > previous || (sequency == previous && support.count < previous_block))
        << i;
    EXPECT_NEAR(std::abs(h(i, support.first)), 1 / std::sqrt(support.count), 1e-6);
    previous = sequency;
    previous_block = support.count;
  }
}

TEST(Wht, OrderOfEightIsTheBitReversedGrayCode) {
  const int64_t expected[] = {0, 4, 6, 2, 3, 7, 5, 1};
  const std::vector<WhtRow> order = wht_order(8);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(order[i].source, expected[i]);
}

}  // namespace
}  // namespace stamp
