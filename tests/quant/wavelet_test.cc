#include "stamp/quant/wavelet.h"

#include <gtest/gtest.h>

#include "stamp/quant/haar.h"
#include "tests/quant/matrices.h"

namespace stamp {
namespace {

struct Named {
  const char* name;
  const WaveletFilters& filters;
  int moments;  // polynomials of a lower degree have no details
};
const Named kWavelets[] = {{"db2", kDb2, 2},     {"db4", kDb4, 4},     {"sym4", kSym4, 4},
                           {"coif1", kCoif1, 2}, {"cdf53", kCdf53, 2}, {"cdf97", kCdf97, 4}};

Matrix polynomial(int64_t tokens, int degree) {
  Matrix x(tokens, 1);
  for (int64_t i = 0; i < tokens; ++i)
    x(i, 0) =
        static_cast<float>(std::pow(static_cast<double>(i) / static_cast<double>(tokens), degree));
  return x;
}

/// Away from the ends, where the period jumps.
TEST(Wavelet, DetailsOfSmoothRowsVanish) {
  for (const Named& wavelet : kWavelets) {
    for (int degree = 0; degree < wavelet.moments; ++degree) {
      Matrix x = polynomial(64, degree);
      wavelet_forward(x.view(), wavelet.filters, 1);
      for (int64_t i = 32 + 5; i < 64 - 5; ++i) EXPECT_NEAR(x(i, 0), 0, 1e-5) << wavelet.name;
      EXPECT_NEAR(x(16, 0), std::sqrt(2.0) * std::pow(0.5, degree), 0.06) << wavelet.name;
    }
  }
}

TEST(Wavelet, DetailsOfRoughRowsDoNot) {
  for (const Named& wavelet : kWavelets) {
    Matrix x(64, 1);
    for (int64_t i = 0; i < 64; ++i) x(i, 0) = i % 2 == 0 ? 1.0f : -1.0f;
    wavelet_forward(x.view(), wavelet.filters, 1);
    for (int64_t i = 0; i < 32; ++i) EXPECT_NEAR(x(i, 0), 0, 1e-5) << wavelet.name;
    EXPECT_GT(std::abs(x(40, 0)), 1.2) << wavelet.name;
  }
}

/// Row i of one level from the definition, written as a matrix.
TEST(Wavelet, IsTheFilterBankOfItsDefinition) {
  const int64_t n = 20;
  const Matrix x = random_matrix(n, 3);
  for (const Named& wavelet : kWavelets) {
    Matrix y = x;
    wavelet_forward(y.view(), wavelet.filters, 1);
    for (int64_t i = 0; i < n / 2; ++i) {
      double low = 0;
      for (int j = 0; j < wavelet.filters.length; ++j)
        low += wavelet.filters.analysis[j] *
               x((2 * i + wavelet.filters.length / 2 - j + 2 * n) % n, 1);
      EXPECT_NEAR(y(i, 1), low, 1e-6) << wavelet.name;
    }
  }
}

TEST(Wavelet, LevelsTransformTheApproximationsAndHaveTheBandsOfHaar) {
  for (const int64_t n : {37, 64}) {
    const Matrix x = random_matrix(n, 2);
    for (const Named& wavelet : kWavelets) {
      Matrix all = x, steps = x;
      wavelet_forward(all.view(), wavelet.filters, 3);
      for (int level = 0; level < 3; ++level)
        wavelet_forward(steps.view().rows_from(0, haar_bands(n, level).front().count),
                        wavelet.filters, 1);
      EXPECT_EQ(largest_difference(all, steps), 0) << wavelet.name;
    }
  }
}

TEST(Wavelet, TheLastOfAnOddNumberOfRowsPassesThrough) {
  const Matrix x = random_matrix(21, 4);
  for (const Named& wavelet : kWavelets) {
    Matrix y = x, even = Matrix::copy_of(x.view().rows_from(0, 20));
    wavelet_forward(y.view(), wavelet.filters, 1);
    wavelet_forward(even.view(), wavelet.filters, 1);
    for (int64_t c = 0; c < 4; ++c) {
      EXPECT_EQ(y(10, c), x(20, c)) << wavelet.name;
      for (int64_t i = 0; i < 10; ++i) {
        EXPECT_EQ(y(i, c), even(i, c)) << wavelet.name;
        EXPECT_EQ(y(11 + i, c), even(10 + i, c)) << wavelet.name;
      }
    }
  }
}

}  // namespace
}  // namespace stamp
