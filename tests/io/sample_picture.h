#pragma once
// A picture for tests.
#include "stamp/io/image_file.h"

namespace stamp {

/// Every pixel another colour than its neighbours.
inline Picture sample_picture(int64_t width, int64_t height) {
  Picture picture{width, height, {}};
  for (int64_t i = 0; i < width * height * 3; ++i)
    picture.rgb.push_back(static_cast<uint8_t>(i * 37 % 256));
  return picture;
}

}  // namespace stamp
