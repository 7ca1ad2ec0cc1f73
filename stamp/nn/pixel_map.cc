#include "stamp/nn/pixel_map.h"

#include "stamp/core/error.h"
#include "stamp/kernels/kernels.h"

namespace stamp {

PixelMap from_planes(std::span<const float> values, int64_t channels, int64_t height,
                     int64_t width) {
  if (static_cast<int64_t>(values.size()) != element_count({channels, height, width}))
    throw_argument("pixel map: {} values for [{}, {}, {}]", values.size(), channels, height, width);
  PixelMap map(height, width, channels);
  const int64_t pixels = height * width;
  kernels().transpose_f32(values.data(), pixels, map.pixels.data(), channels, channels, pixels);
  return map;
}

std::vector<float> to_planes(const PixelMap& map) {
  std::vector<float> values(static_cast<size_t>(map.pixels.size()));
  const int64_t pixels = map.pixels.rows();
  kernels().transpose_f32(map.pixels.data(), map.channels(), values.data(), pixels, pixels,
                          map.channels());
  return values;
}

}  // namespace stamp
