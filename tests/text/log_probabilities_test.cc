#include "stamp/text/log_probabilities.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace stamp {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(LogProbabilities, SumToOne) {
  const std::vector<float> logits = {1000, 998, -5, 999.5f, -kInfinity};
  const LogProbabilities probabilities(logits);
  double sum = 0;
  for (int32_t id = 0; id < 5; ++id) sum += std::exp(static_cast<double>(probabilities.of(id)));
  EXPECT_NEAR(sum, 1, 1e-4);
  EXPECT_NEAR(probabilities.of(0) - probabilities.of(1), 2, 1e-4);
  EXPECT_EQ(probabilities.of(4), -kInfinity);
}

TEST(LogProbabilities, ListTheLikeliestFirst) {
  const std::vector<float> logits = {1, 3, 2, 3};
  const auto top = LogProbabilities(logits).top(3);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0].id, 1);  // of equal ones the smaller id
  EXPECT_EQ(top[1].id, 3);
  EXPECT_EQ(top[2].id, 2);
  EXPECT_EQ(top[0].value, LogProbabilities(logits).of(1));
  EXPECT_EQ(LogProbabilities(logits).top(9).size(), 4u);
  EXPECT_EQ(LogProbabilities(logits).top(0).size(), 0u);
  EXPECT_EQ(LogProbabilities(logits).top(-1).size(), 0u);
}

TEST(LogProbabilities, OfNothingAreAnError) {
  EXPECT_THROW(LogProbabilities({}), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
