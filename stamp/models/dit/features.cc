#include "stamp/models/dit/features.h"

#include <algorithm>
#include <cmath>

namespace stamp {
namespace {

constexpr size_t kFrequencies = 128;

/// Sines, then cosines, of one coordinate at `out`.
void encode_coordinate(float position, int64_t frequencies, float* out) {
  for (int64_t k = 0; k < frequencies; ++k) {
    const double exponent = static_cast<double>(k) / static_cast<double>(frequencies);
    const double angle = static_cast<double>(position) / std::pow(10000.0, exponent);
    out[k] = static_cast<float>(std::sin(angle));
    out[frequencies + k] = static_cast<float>(std::cos(angle));
  }
}

float stretched(int64_t index, int64_t size, int64_t base, double scale) {
  const auto ratio = static_cast<float>(static_cast<double>(size) / static_cast<double>(base));
  return static_cast<float>(index) / ratio / static_cast<float>(scale);
}

}  // namespace

std::vector<float> sinusoid_features(float value) {
  std::vector<float> features(2 * kFrequencies);
  for (size_t k = 0; k < kFrequencies; ++k) {
    // Every step in fp32, as the models were trained: angles reach 1000.
    const float exponent = static_cast<float>(-std::log(10000.0)) * static_cast<float>(k) / 128.0f;
    const float angle = value * std::exp(exponent);
    features[k] = std::cos(angle);
    features[kFrequencies + k] = std::sin(angle);
  }
  return features;
}

Matrix grid_positions(int64_t height, int64_t width, int64_t dim, int64_t base, double scale) {
  Matrix columns(width, dim / 2), result(height * width, dim);
  for (int64_t j = 0; j < width; ++j)
    encode_coordinate(stretched(j, width, base, scale), dim / 4, columns.row(j));
  for (int64_t i = 0; i < height; ++i) {
    float* first = result.row(i * width);
    encode_coordinate(stretched(i, height, base, scale), dim / 4, first + dim / 2);
    for (int64_t j = 0; j < width; ++j) {
      float* row = result.row(i * width + j);
      std::copy_n(columns.row(j), dim / 2, row);
      if (j > 0) std::copy_n(first + dim / 2, dim / 2, row + dim / 2);
    }
  }
  return result;
}

Matrix patches_of(const PixelMap& map, int64_t patch) {
  const int64_t rows = map.height / patch, cols = map.width / patch, channels = map.channels();
  Matrix tokens(rows * cols, channels * patch * patch);
  for (int64_t t = 0; t < tokens.rows(); ++t)
    for (int64_t dy = 0; dy < patch; ++dy)
      for (int64_t dx = 0; dx < patch; ++dx) {
        const int64_t y = t / cols * patch + dy, x = t % cols * patch + dx;
        const float* pixel = map.pixels.row(y * map.width + x);
        for (int64_t c = 0; c < channels; ++c) tokens(t, (c * patch + dy) * patch + dx) = pixel[c];
      }
  return tokens;
}

PixelMap map_of_patches(const Matrix& tokens, int64_t height, int64_t width, int64_t patch) {
  const int64_t channels = tokens.cols() / (patch * patch);
  PixelMap map(height * patch, width * patch, channels);
  for (int64_t t = 0; t < tokens.rows(); ++t)
    for (int64_t dy = 0; dy < patch; ++dy)
      for (int64_t dx = 0; dx < patch; ++dx) {
        const int64_t y = t / width * patch + dy, x = t % width * patch + dx;
        std::copy_n(tokens.row(t) + (dy * patch + dx) * channels, channels,
                    map.pixels.row(y * map.width + x));
      }
  return map;
}

}  // namespace stamp
