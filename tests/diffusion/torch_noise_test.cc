// Values printed by torch 2.15: torch.randn(n, generator=torch.Generator("cpu").manual_seed(seed)).
#include "stamp/diffusion/torch_noise.h"

#include <gtest/gtest.h>

#include <vector>

namespace stamp {
namespace {

std::vector<float> draw(TorchNoise& noise, size_t count) {
  std::vector<float> values(count);
  noise.fill(values);
  return values;
}

void expect_near(const std::vector<float>& got, const std::vector<float>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5) << i;
}

TEST(TorchNoise, FewValuesComeOneByOne) {
  TorchNoise noise(0);
  expect_near(draw(noise, 5), {1.540996f, -0.2934289f, -2.178789f, 0.5684313f, -1.084522f});
  TorchNoise odd(3);  // the second half of a pair waits for the next call
  expect_near(draw(odd, 3), {0.80327606f, 0.17483339f, 0.088978097f});
  expect_near(draw(odd, 2), {-0.61371803f, 0.04618245f});
}

TEST(TorchNoise, ManyValuesComeInGroups) {
  TorchNoise group(7);
  expect_near(draw(group, 16),
              {-0.8201345f, 0.3956312f, 0.8989085f, -1.388404f, -0.166996f, 0.28515f, -0.6410915f,
               -0.8936554f, 0.926543f, -0.5355122f, -1.15972f, -0.4601572f, 0.7085391f, 1.012755f,
               0.2303969f, 1.090165f});
  TorchNoise rest(12345);
  expect_near(draw(rest, 19),
              {-1.479808f, 0.487306f, -3.012794f, 1.317416f, -1.014831f, -0.5428595f, 0.4307425f,
               -1.92567f, -0.2145224f, -1.261995f, -0.1281548f, 0.7078839f, 0.2058456f, -0.9300103f,
               0.114245f, -0.4450281f, 0.5224177f, 0.6057699f, 0.7471964f});
}

TEST(TorchNoise, SeedsAreCutTo32Bits) {
  TorchNoise noise((uint64_t{1} << 40) + 1);
  const std::vector<float> values = draw(noise, 100000);
  expect_near({values[0], values[1], values[50000], values[99990], values[99999]},
              {-1.5255959f, -0.7502318f, 0.7238293f, 0.22953583f, -1.4303418f});
}

}  // namespace
}  // namespace stamp
