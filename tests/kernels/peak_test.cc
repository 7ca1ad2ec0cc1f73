#include "stamp/kernels/peak.h"

#include <gtest/gtest.h>

#include "stamp/kernels/kernels.h"

namespace stamp {
namespace {

class PeakOf : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!has_isa(GetParam())) GTEST_SKIP() << "this processor has no " << isa_name(GetParam());
  }
};

TEST_P(PeakOf, LoopsCountTheirOperations) {
  const KernelTable& table = kernels_of(GetParam());
  for (const int variant : {0, 1}) {
    EXPECT_GT(table.peak_dot_s8u8(1, variant), 0);
    EXPECT_EQ(table.peak_dot_s8u8(50, variant), 50 * table.peak_dot_s8u8(1, variant));
    EXPECT_GT(table.peak_fma_f32(1, variant), 0);
    EXPECT_EQ(table.peak_fma_f32(50, variant), 50 * table.peak_fma_f32(1, variant));
  }
  EXPECT_EQ(table.dependent_adds(50), 50 * table.dependent_adds(1));
}

TEST_P(PeakOf, MeasurementIsConsistent) {
  const Peak dot = measure_dot_peak(GetParam(), 0.002);
  EXPECT_GT(dot.giga_ops, 0);
  EXPECT_GT(dot.ghz, 0);
  EXPECT_DOUBLE_EQ(dot.ops_per_cycle, dot.giga_ops / dot.ghz);
  EXPECT_EQ(dot.expected, expected_rate(known_dot_rates(GetParam()), dot.ops_per_cycle));
  EXPECT_GT(measure_fma_peak(GetParam(), 0.002).share(), 0);
}

INSTANTIATE_TEST_SUITE_P(Isa, PeakOf, testing::ValuesIn(kAllIsas),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

TEST(Peak, ExpectsTheLowestRateThatIsNotExceeded) {
  const double rates[] = {128, 256};
  EXPECT_EQ(expected_rate(rates, 100), 128);
  EXPECT_EQ(expected_rate(rates, 129), 128);
  EXPECT_EQ(expected_rate(rates, 140), 256);  // too fast for one port, too slow for two: 55 %
  EXPECT_EQ(expected_rate(rates, 255), 256);
  EXPECT_EQ(expected_rate(rates, 300), 256);
  EXPECT_EQ(expected_rate({}, 300), 0);
  EXPECT_EQ(Peak{.ops_per_cycle = 3}.share(), 1.0);
  EXPECT_EQ((Peak{.ops_per_cycle = 128, .expected = 256}.share()), 0.5);
}

}  // namespace
}  // namespace stamp
