#include "stamp/quant/fixed_point.h"

#include <gtest/gtest.h>

#include <limits>

#include "matrices.h"

namespace stamp {
namespace {

double value_at(const FixedPointCodes& codes, int64_t t, int64_t j) {
  const int64_t code =
      65536 * codes.row(3 * t)[j] + 256 * codes.row(3 * t + 1)[j] + codes.row(3 * t + 2)[j];
  return static_cast<double>(codes.scale[static_cast<size_t>(t)]) * static_cast<double>(code);
}

TEST(FixedPoint, IsAsExactAsItsStep) {
  Matrix x = random_matrix(9, 101, 4);
  for (int64_t j = 0; j < x.cols(); ++j) x(3, j) *= 1e6f, x(4, j) *= 1e-20f;
  FixedPointCodes codes;
  encode_fixed_point(x.view(), codes);
  for (int64_t t = 0; t < x.rows(); ++t) {
    float largest = 0;
    for (int64_t j = 0; j < x.cols(); ++j) largest = std::max(largest, std::abs(x(t, j)));
    for (int64_t j = 0; j < x.cols(); ++j)
      EXPECT_NEAR(value_at(codes, t, j), x(t, j), largest / (127.0 * 65536)) << t << " " << j;
    for (int64_t j = x.cols(); j < codes.stride; ++j) EXPECT_EQ(codes.row(3 * t)[j], 0);
  }
}

TEST(FixedPoint, SurvivesHostileRows) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  Matrix x = Matrix::zeros(2, 4);
  x(1, 0) = kInf, x(1, 1) = -kInf, x(1, 2) = std::numeric_limits<float>::quiet_NaN(), x(1, 3) = 1;
  FixedPointCodes codes;
  encode_fixed_point(x.view(), codes);
  for (int64_t j = 0; j < 4; ++j) EXPECT_EQ(value_at(codes, 0, j), 0);
  EXPECT_GT(value_at(codes, 1, 0), 1e38);
  EXPECT_LT(value_at(codes, 1, 1), -1e38);
  EXPECT_EQ(value_at(codes, 1, 2), 0);
}

}  // namespace
}  // namespace stamp
