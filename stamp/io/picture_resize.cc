#include "stamp/io/picture_resize.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"

namespace stamp {
namespace {

constexpr int64_t kMaxSide = 1 << 16;
// Pillow's weights are integers of 22 bits behind the point: sums of bytes fit into 32 bits.
constexpr int kWeightBits = 22;
constexpr double kRadius = 2.0;  // of the filter, in pixels of the larger picture

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

/// The pixels that one new pixel is made of.
struct Window {
  int64_t first = 0;
  std::vector<int32_t> weights;
};

int32_t fixed_point(double weight) {
  const double scaled = weight * (1 << kWeightBits);
  return static_cast<int32_t>(scaled + (weight < 0 ? -0.5 : 0.5));
}

std::vector<Window> windows(int64_t size, int64_t new_size) {
  const double scale = static_cast<double>(size) / static_cast<double>(new_size);
  const double stretch = std::max(scale, 1.0), radius = kRadius * stretch;
  const double shrink = 1.0 / stretch;
  std::vector<Window> result(static_cast<size_t>(new_size));
  for (int64_t i = 0; i < new_size; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<int64_t>(0, static_cast<int64_t>(center - radius + 0.5));
    const auto last = std::min(size, static_cast<int64_t>(center + radius + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (int64_t x = 0; x < last - first; ++x) {
      weights.push_back(bicubic((static_cast<double>(x + first) - center + 0.5) * shrink));
      sum += weights.back();
    }
    Window& window = result[static_cast<size_t>(i)];
    window.first = first;
    for (const double weight : weights) window.weights.push_back(fixed_point(weight / sum));
  }
  return result;
}

/// Lines of `size` pixels become lines of windows.size(): pixel x of line y lies at (y * line + x *
/// step) * 3.
struct Layout {
  int64_t line, step;
};

void resample(const std::vector<uint8_t>& from, Layout in, std::vector<uint8_t>& to, Layout out,
              int64_t lines, const std::vector<Window>& windows) {
  for (int64_t y = 0; y < lines; ++y)
    for (int64_t x = 0; x < std::ssize(windows); ++x) {
      const Window& window = windows[static_cast<size_t>(x)];
      int32_t sums[3] = {1 << (kWeightBits - 1), 1 << (kWeightBits - 1), 1 << (kWeightBits - 1)};
      for (size_t i = 0; i < window.weights.size(); ++i) {
        const int64_t place = y * in.line + (window.first + static_cast<int64_t>(i)) * in.step;
        const uint8_t* pixel = &from[static_cast<size_t>(place * 3)];
        for (int c = 0; c < 3; ++c) sums[c] += pixel[c] * window.weights[i];
      }
      uint8_t* pixel = &to[static_cast<size_t>((y * out.line + x * out.step) * 3)];
      for (int c = 0; c < 3; ++c)
        pixel[c] = static_cast<uint8_t>(std::clamp(sums[c] >> kWeightBits, 0, 255));
    }
}

void check(const Picture& picture) {
  const bool sides = picture.width >= 1 && picture.width <= kMaxSide && picture.height >= 1 &&
                     picture.height <= kMaxSide;
  if (!sides || std::ssize(picture.rgb) != picture.width * picture.height * 3)
    throw_argument("picture: {} bytes are no picture of {} x {} pixels", picture.rgb.size(),
                   picture.width, picture.height);
}

Picture blank(int64_t width, int64_t height) {
  return {width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
}

Picture with_width(const Picture& picture, int64_t width) {
  if (width == picture.width) return picture;
  Picture result = blank(width, picture.height);
  resample(picture.rgb, {picture.width, 1}, result.rgb, {width, 1}, picture.height,
           windows(picture.width, width));
  return result;
}

Picture with_height(const Picture& picture, int64_t height) {
  if (height == picture.height) return picture;
  Picture result = blank(picture.width, height);
  resample(picture.rgb, {1, picture.width}, result.rgb, {1, picture.width}, picture.width,
           windows(picture.height, height));
  return result;
}

}  // namespace

Picture resize_bicubic(const Picture& picture, int64_t width, int64_t height) {
  check(picture);
  if (width < 1 || width > kMaxSide || height < 1 || height > kMaxSide)
    throw_argument("picture: cannot have {} x {} pixels", width, height);
  const int64_t fewer_rows = picture.height - height, fewer_columns = picture.width - width;
  return fewer_rows > 0 && fewer_rows > 2 * fewer_columns
             ? with_width(with_height(picture, height), width)
             : with_height(with_width(picture, width), height);
}

Picture crop(const Picture& picture, int64_t left, int64_t top, int64_t width, int64_t height) {
  check(picture);
  if (left < 0 || top < 0 || width < 1 || height < 1 || width > picture.width - left ||
      height > picture.height - top)
    throw_argument("picture: {} x {} pixels at ({}, {}) are not inside {} x {}", width, height,
                   left, top, picture.width, picture.height);
  Picture part = blank(width, height);
  for (int64_t y = 0; y < height; ++y)
    std::copy_n(picture.rgb.begin() + ((top + y) * picture.width + left) * 3, width * 3,
                part.rgb.begin() + y * width * 3);
  return part;
}

}  // namespace stamp
