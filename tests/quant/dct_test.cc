#include "stamp/quant/dct.h"

#include <gtest/gtest.h>

#include <numbers>
#include <set>
#include <thread>

#include "tests/quant/matrices.h"

namespace stamp {
namespace {

std::vector<double> definition(const Matrix& x, int64_t col) {
  const int64_t n = x.rows();
  std::vector<double> result;
  for (int64_t k = 0; k < n; ++k) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const auto phase = static_cast<double>((2 * i + 1) * k % (4 * n));
      sum += x(i, col) * std::cos(std::numbers::pi * phase / (2.0 * static_cast<double>(n)));
    }
    result.push_back(sum * std::sqrt((k == 0 ? 1.0 : 2.0) / static_cast<double>(n)));
  }
  return result;
}

/// Largest error of some columns relative to the largest coefficient.
double relative_error(int64_t n, int64_t cols) {
  const Matrix x = random_matrix(n, cols, static_cast<uint64_t>(n), 1);
  Matrix y = x;
  dct_forward(y.view(), 0);
  double error = 0, largest = 0;
  for (const int64_t col : std::set<int64_t>{0, cols / 2, cols - 1}) {
    const std::vector<double> expected = definition(x, col);
    for (int64_t k = 0; k < n; ++k) {
      error = std::max(error, std::abs(expected[static_cast<size_t>(k)] - y(k, col)));
      largest = std::max(largest, std::abs(expected[static_cast<size_t>(k)]));
    }
  }
  return error / largest;
}

TEST(Dct, FourNumbersByHand) {
  Matrix x = column({1, 2, 3, 4});
  dct_forward(x.view(), 0);
  EXPECT_LT(largest_difference(x, column({5, -2.2304425f, 0, -0.1585129f})), 1e-6);
}

TEST(Dct, EqualsTheDefinition) {
  for (const int64_t n : {1, 2, 3, 5, 8, 63, 64, 100, 257})
    EXPECT_LT(relative_error(n, 37), 2e-6) << n;
  for (const int64_t n : {1000, 1024, 2039, 4096}) EXPECT_LT(relative_error(n, 1), 2e-6) << n;
}

TEST(Dct, PlansAreSharedSafelyBetweenThreads) {
  std::vector<std::thread> threads;
  std::vector<double> errors(4);
  for (size_t t = 0; t < errors.size(); ++t) {
    threads.emplace_back([&errors, t] {
      for (int64_t n = 1; n < 90; ++n) errors[t] = std::max(errors[t], relative_error(n, 2));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const double error : errors) EXPECT_LT(error, 2e-6);
}

}  // namespace
}  // namespace stamp
