// The clip search must choose the same scales on every machine: all instruction sets agree exactly.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "stamp/core/rng.h"
#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

std::vector<float> normals(int64_t count) {
  Rng rng(7);
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(0.05 * rng.normal()));
  return values;
}

double by_definition(const std::vector<float>& x, float inverse_scale, float low, float high) {
  double sum = 0;
  for (const float value : x) {
    const double u = value * inverse_scale;
    sum += std::pow(std::abs(u - std::clamp<double>(std::nearbyint(u), low, high)), 2.4);
  }
  return sum;
}

TEST(ClipError, IsTheSumOfItsDefinition) {
  for (const int64_t n : {1, 15, 64, 1000}) {
    const auto x = normals(n);
    for (const float inverse_scale : {10.0f, 50.0f, 2000.0f}) {
      const double want = by_definition(x, inverse_scale, -8, 7);
      const float got =
          kernels_of(Isa::kScalar).clip_error(x.data(), n, inverse_scale, -8.0f, 7.0f);
      EXPECT_NEAR(got / want, 1, 1e-5) << n << " " << inverse_scale;
    }
  }
}

TEST(ClipError, IsEqualInEveryInstructionSet) {
  for (const Isa isa : kAllIsas) {
    if (!has_isa(isa)) {
      GTEST_LOG_(INFO) << "this processor has no " << isa_name(isa);
      continue;
    }
    for (int64_t n = 0; n < 70; ++n) {
      const auto x = normals(n);
      for (const float inverse_scale : {0.0f, 3.0f, 77.0f, 1e6f}) {
        const float want = kernels_of(Isa::kScalar).clip_error(x.data(), n, inverse_scale, -8, 7);
        const float got = kernels_of(isa).clip_error(x.data(), n, inverse_scale, -8, 7);
        ASSERT_EQ(got, want) << n << " " << inverse_scale;
      }
    }
  }
}

TEST(ClipError, WhatIsNotFiniteIsNoSmallError) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    std::vector<float> x(20, 0.5f);
    x[3] = bad;
    EXPECT_FALSE(kernels().clip_error(x.data(), 20, 1.0f, -8, 7) < 1e30f);
  }
}

}  // namespace
}  // namespace stamp
