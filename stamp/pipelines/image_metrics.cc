#include "stamp/pipelines/image_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/core/parallel.h"

namespace stamp {
namespace {

constexpr int64_t kWindow = 11;
constexpr double kSigma = 1.5, kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;

void check_same(const PixelMap& a, const PixelMap& b) {
  if (a.height != b.height || a.width != b.width || a.channels() != b.channels())
    throw_argument("image: {} x {} x {} and {} x {} x {} cannot be compared", a.height, a.width,
                   a.channels(), b.height, b.width, b.channels());
}

PixelMap unit_range(const PixelMap& image) {
  PixelMap result = image;
  for (float& value : std::span(result.pixels.data(), static_cast<size_t>(result.pixels.size())))
    value = value * 0.5f + 0.5f;
  return result;
}

std::array<double, kWindow> gaussian() {
  std::array<double, kWindow> weights{};
  double sum = 0;
  for (int64_t i = 0; i < kWindow; ++i) {
    const double d = static_cast<double>(i - kWindow / 2);
    weights[static_cast<size_t>(i)] = std::exp(-d * d / (2 * kSigma * kSigma));
    sum += weights[static_cast<size_t>(i)];
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

/// Weighted sums of x, y, x^2, y^2 and x y.
using Moments = std::array<double, 5>;

double similarity(const Moments& m) {
  const double xx = m[2] - m[0] * m[0], yy = m[3] - m[1] * m[1], xy = m[4] - m[0] * m[1];
  return (2 * m[0] * m[1] + kC1) * (2 * xy + kC2) /
         ((m[0] * m[0] + m[1] * m[1] + kC1) * (xx + yy + kC2));
}

/// Sum over the windows of one row of windows, one channel.
double row_of_windows(const PixelMap& x, const PixelMap& y, int64_t top, int64_t channel) {
  static const std::array<double, kWindow> kWeights = gaussian();
  std::vector<Moments> columns(static_cast<size_t>(x.width));
  for (int64_t j = 0; j < x.width; ++j)
    for (int64_t i = 0; i < kWindow; ++i) {
      const int64_t pixel = (top + i) * x.width + j;
      const double a = x.pixels(pixel, channel), b = y.pixels(pixel, channel);
      const double values[] = {a, b, a * a, b * b, a * b};
      for (size_t k = 0; k < 5; ++k)
        columns[static_cast<size_t>(j)][k] += kWeights[static_cast<size_t>(i)] * values[k];
    }
  double sum = 0;
  for (int64_t left = 0; left + kWindow <= x.width; ++left) {
    Moments moments{};
    for (int64_t j = 0; j < kWindow; ++j)
      for (size_t k = 0; k < 5; ++k)
        moments[k] += kWeights[static_cast<size_t>(j)] * columns[static_cast<size_t>(left + j)][k];
    sum += similarity(moments);
  }
  return sum;
}

double sqnr_of(const PixelMap& reference, const PixelMap& image) {
  check_same(reference, image);
  Sqnr sqnr;
  sqnr.add(reference.pixels.view(), image.pixels.view());
  return sqnr.db();
}

}  // namespace

PixelMap clamped(PixelMap image) {
  for (float& value : std::span(image.pixels.data(), static_cast<size_t>(image.pixels.size())))
    value = std::clamp(value, -1.0f, 1.0f);
  return image;
}

double image_sqnr(const PixelMap& reference, const PixelMap& image) {
  return sqnr_of(reference, image);
}

double image_sqnr_unit(const PixelMap& reference, const PixelMap& image) {
  return sqnr_of(unit_range(reference), unit_range(image));
}

double image_psnr(const PixelMap& reference, const PixelMap& image) {
  check_same(reference, image);
  Sqnr sqnr;
  sqnr.add(unit_range(reference).pixels.view(), unit_range(image).pixels.view());
  return -10 * std::log10(sqnr.noise / static_cast<double>(image.pixels.size()));
}

double image_ssim(const PixelMap& reference, const PixelMap& image) {
  check_same(reference, image);
  if (image.height < kWindow || image.width < kWindow)
    throw_argument("ssim: {} x {} pixels are less than a window of {}", image.height, image.width,
                   kWindow);
  const PixelMap x = unit_range(reference), y = unit_range(image);
  const int64_t rows = x.height - kWindow + 1, channels = x.channels();
  std::vector<double> sums(static_cast<size_t>(rows));
  parallel_for(rows, [&](int64_t top) {
    for (int64_t c = 0; c < channels; ++c)
      sums[static_cast<size_t>(top)] += row_of_windows(x, y, top, c);
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total / static_cast<double>(rows * (x.width - kWindow + 1) * channels);
}

}  // namespace stamp
