#include "stamp/core/rng.h"

#include <gtest/gtest.h>

namespace stamp {
namespace {

TEST(Rng, KnownStream) {
  // SplitMix64's reference output for seed 1234567.
  Rng rng(1234567);
  EXPECT_EQ(rng.next(), 6457827717110365317ull);
  EXPECT_EQ(rng.next(), 3203168211198807973ull);
}

TEST(Rng, MomentsAreRight) {
  Rng rng(7);
  double sum = 0, square = 0;
  constexpr int kCount = 100000;
  for (int i = 0; i < kCount; ++i) {
    const double x = rng.normal();
    sum += x, square += x * x;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.02);
  EXPECT_NEAR(square / kCount, 1, 0.02);
  for (int i = 0; i < 1000; ++i) EXPECT_LT(rng.below(7), 7u);
}

}  // namespace
}  // namespace stamp
