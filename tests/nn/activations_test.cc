#include "stamp/nn/activations.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace stamp {
namespace {

TEST(Gelu, FormsAgreeWithTheirDefinitions) {
  Matrix exact(1, 401), quick(1, 401);
  for (int64_t i = 0; i < 401; ++i)
    exact(0, i) = quick(0, i) = static_cast<float>(i - 200) * 0.25f;  // -50 .. 50
  exact_gelu(exact.view());
  quick_gelu(quick.view());
  for (int64_t i = 0; i < 401; ++i) {
    const double x = static_cast<double>(i - 200) * 0.25;
    EXPECT_NEAR(exact(0, i), x / 2 * std::erfc(-x / std::numbers::sqrt2), 2e-6 * (1 + std::abs(x)));
    EXPECT_NEAR(quick(0, i), x / (1 + std::exp(-1.702 * x)), 2e-6 * (1 + std::abs(x)));
  }
}

}  // namespace
}  // namespace stamp
