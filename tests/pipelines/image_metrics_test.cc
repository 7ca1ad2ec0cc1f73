#include "stamp/pipelines/image_metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "stamp/core/rng.h"

namespace stamp {
namespace {

PixelMap noise(int64_t height, int64_t width, uint64_t seed) {
  PixelMap map(height, width, 3);
  Rng rng(seed);
  for (int64_t i = 0; i < map.pixels.size(); ++i)
    map.pixels.data()[i] = static_cast<float>(2 * rng.uniform() - 1);
  return map;
}

PixelMap shifted(const PixelMap& map, float offset) {
  PixelMap result = map;
  for (int64_t i = 0; i < map.pixels.size(); ++i) result.pixels.data()[i] += offset;
  return result;
}

TEST(ImageMetrics, ConstantOffsets) {
  PixelMap grey(16, 16, 3);
  std::fill_n(grey.pixels.data(), grey.pixels.size(), 0.5f);
  const PixelMap other = shifted(grey, 0.1f);
  EXPECT_NEAR(image_sqnr(grey, other), 20 * std::log10(5.0), 1e-4);
  EXPECT_NEAR(image_sqnr_unit(grey, other), 20 * std::log10(15.0), 1e-4);
  EXPECT_NEAR(image_psnr(grey, other), 20 * std::log10(20.0), 1e-4);
  // Two flat images differ in luminance only.
  const double a = 0.75, b = 0.8, c1 = 1e-4;
  EXPECT_NEAR(image_ssim(grey, other), (2 * a * b + c1) / (a * a + b * b + c1), 1e-6);
}

TEST(ImageMetrics, EqualImages) {
  const PixelMap image = noise(20, 30, 1);
  EXPECT_TRUE(std::isinf(image_sqnr(image, image)));
  EXPECT_TRUE(std::isinf(image_psnr(image, image)));
  EXPECT_NEAR(image_ssim(image, image), 1.0, 1e-9);
}

TEST(ImageMetrics, SsimFallsWithNoise) {
  const PixelMap image = noise(24, 24, 2), other = noise(24, 24, 3);
  PixelMap near = image;
  for (int64_t i = 0; i < near.pixels.size(); ++i)
    near.pixels.data()[i] += 0.1f * other.pixels.data()[i];
  const double close = image_ssim(image, near), far = image_ssim(image, other);
  EXPECT_LT(far, 0.2);
  EXPECT_GT(close, 0.9);
  EXPECT_LT(close, 1.0);
}

TEST(ImageMetrics, RefusesWhatCannotBeCompared) {
  EXPECT_THROW(image_sqnr(noise(4, 4, 1), noise(4, 5, 1)), std::invalid_argument);
  EXPECT_THROW(image_ssim(noise(10, 20, 1), noise(10, 20, 1)), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
