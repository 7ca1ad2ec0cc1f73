#pragma once
// Images between convolutions: pixels are rows, channels lie side by side ("NHWC" of one image), so
// that a 1x1 convolution is a linear layer over the pixels as they are.
#include "stamp/core/tensor.h"

namespace stamp {

struct PixelMap {
  int64_t height = 0, width = 0;
  Matrix pixels;  // [height * width, channels], row-major over the image

  PixelMap() = default;
  PixelMap(int64_t height, int64_t width, int64_t channels)
      : height(height), width(width), pixels(height * width, channels) {}
  int64_t channels() const { return pixels.cols(); }
  /// New sizes; keeps the memory when it is large enough. Contents are lost.
  void reshape(int64_t new_height, int64_t new_width, int64_t channels) {
    height = new_height;
    width = new_width;
    pixels.reshape(height * width, channels);
  }
};

/// From and to PyTorch's order [channels, height, width]. `from_planes` throws
/// std::invalid_argument when there are not as many values.
PixelMap from_planes(std::span<const float> values, int64_t channels, int64_t height,
                     int64_t width);
std::vector<float> to_planes(const PixelMap& map);

}  // namespace stamp
