// Expected numbers come from numpy.linalg.svd of the matrix below (float64):
//   i, j = np.arange(m)[:, None], np.arange(n); a = np.sin(1 + 3*i + 5*j*j) + 0.1*((i*j) % 7)
//   s = np.linalg.svd(a, compute_uv=False)
#include "stamp/quant/low_rank.h"

#include <gtest/gtest.h>

#include "stamp/quant/weight_quant.h"
#include "tests/quant/matrices.h"

namespace stamp {
namespace {

Matrix numpys_matrix(int64_t m, int64_t n) {
  Matrix a(m, n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j)
      a(i, j) = static_cast<float>(std::sin(static_cast<double>(1 + 3 * i + 5 * j * j)) +
                                   0.1 * static_cast<double>(i * j % 7));
  return a;
}

double norm(const Matrix& x) { return std::sqrt(squared_norm(x.view())); }

struct Case {
  int64_t rows, cols;
  std::vector<double> singular;      // largest first
  std::vector<double> first_column;  // of the best approximation of rank 1
};
const Case kCases[] = {
    {9,
     6,
     {5.6642707, 1.9708520, 1.2368294, 0.5944655, 0.2960764, 0.0466836},
     {0.3005189, -0.3332691, 0.4372370, -0.3645400, 0.3942041, -0.4486582, 0.4031962, -0.3699160,
      0.3485730}},
    {5,
     8,
     {4.9460619, 1.6757473, 0.6969943, 0.3198469, 0.2101043},
     {0.5857177, -0.6754199, 0.6678395, -0.6619944, 0.6145042}},
};

TEST(TruncatedSvd, IsNumpys) {
  for (const Case& expected : kCases) {
    const Matrix a = numpys_matrix(expected.rows, expected.cols);
    double tail = 0;
    for (size_t i = expected.singular.size(); i-- > 0;) {
      const auto rank = static_cast<int64_t>(i);
      // Eckart and Young: what a rank leaves is the norm of the other singular values.
      tail += expected.singular[i] * expected.singular[i];
      if (rank == 0) break;
      const LowRank branch = truncated_svd(a.view(), rank);
      EXPECT_NEAR(norm(without(a.view(), branch)), std::sqrt(tail), 1e-4) << rank;
      for (int64_t k = 0; k < rank; ++k) {
        double up = 0, down = 0;
        for (int64_t r = 0; r < a.rows(); ++r) up += std::pow(double{branch.up(r, k)}, 2);
        for (int64_t c = 0; c < a.cols(); ++c) down += std::pow(double{branch.down(k, c)}, 2);
        EXPECT_NEAR(std::sqrt(up), expected.singular[static_cast<size_t>(k)], 1e-4);
        EXPECT_NEAR(down, 1, 1e-5);
      }
    }
  }
}

TEST(TruncatedSvd, FirstVectorsAreNumpys) {
  for (const Case& expected : kCases) {
    const LowRank branch = truncated_svd(numpys_matrix(expected.rows, expected.cols).view(), 1);
    for (int64_t i = 0; i < expected.rows; ++i)
      EXPECT_NEAR(branch.up(i, 0) * branch.down(0, 0),
                  expected.first_column[static_cast<size_t>(i)], 1e-4);
  }
}

TEST(TruncatedSvd, RanksThatDoNotExist) {
  EXPECT_THROW(truncated_svd(numpys_matrix(5, 4).view(), 5), std::invalid_argument);
  EXPECT_THROW(truncated_svd(numpys_matrix(5, 4).view(), 0), std::invalid_argument);
}

TEST(OutputEnergy, IsTheSquaredOutput) {
  const Matrix x = random_matrix(50, 12, 1), error = random_matrix(7, 12, 2);
  Hessian hessian(channel_rms(x.view()));
  hessian.add(x.view());
  double want = 0;
  for (int64_t t = 0; t < 50; ++t)
    for (int64_t o = 0; o < 7; ++o) {
      double y = 0;
      for (int64_t k = 0; k < 12; ++k) y += double{x(t, k)} * error(o, k);
      want += y * y;
    }
  EXPECT_NEAR(output_energy(error.view(), hessian), want, 1e-5 * want);
}

TEST(SplitLowRank, BeatsCodesAloneAndImprovesOnTheFirstRound) {
  const Matrix spikes = product(random_matrix(40, 2, 3), random_matrix(2, 32, 4));
  Matrix weight = random_matrix(40, 32, 5);
  for (int64_t i = 0; i < weight.size(); ++i) weight.data()[i] += 4 * spikes.data()[i];
  const Matrix inputs = random_matrix(200, 32, 6);
  Hessian hessian(channel_rms(inputs.view()));
  hessian.add(inputs.view());
  const WeightSpec spec{.bits = 4};
  const auto rounded = [&](ConstFloatView x) { return quantize_weight(x, spec); };
  const BranchAndCodes split = split_low_rank(weight.view(), 4, hessian, rounded);
  Matrix alone = weight;
  fake_quantize_weight(alone.view(), spec);
  for (int64_t i = 0; i < alone.size(); ++i) alone.data()[i] -= weight.data()[i];
  EXPECT_LT(split.error, 0.2 * output_energy(alone.view(), hessian));
  Matrix once = without(weight.view(), truncated_svd(weight.view(), 4)), values = once;
  fake_quantize_weight(values.view(), spec);
  for (int64_t i = 0; i < once.size(); ++i) once.data()[i] -= values.data()[i];
  EXPECT_LE(split.error, output_energy(once.view(), hessian) * (1 + 1e-6));
}

}  // namespace
}  // namespace stamp
