#pragma once
// Pictures in other sizes, as the Python library Pillow makes them.
#include "stamp/io/image_file.h"

namespace stamp {

/// Bicubic (a = -0.5), the filter widened where the picture shrinks, along rows, then along
/// columns, each pass rounded to bytes; the other way round where more than twice as many rows as
/// columns go. Every byte is that of Image.resize(BICUBIC) of Pillow 13; Pillow 12 and older begin
/// with rows always, which rounds differently in pictures that are twice as high as wide.
/// Throws std::invalid_argument for sizes outside 1 .. 65536 and a picture without its pixels.
Picture resize_bicubic(const Picture& picture, int64_t width, int64_t height);
/// The part that begins at pixel (left, top). Throws std::invalid_argument when it is not inside.
Picture crop(const Picture& picture, int64_t left, int64_t top, int64_t width, int64_t height);

}  // namespace stamp
