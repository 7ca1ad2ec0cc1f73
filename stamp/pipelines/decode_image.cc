#include "stamp/pipelines/decode_image.h"

#include <algorithm>
#include <cmath>

#include "stamp/core/error.h"

namespace stamp {
namespace {

void check_finite(const PixelMap& image) {
  const std::span values(image.pixels.data(), static_cast<size_t>(image.pixels.size()));
  if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
    throw_runtime("autoencoder: the image is not finite; do the weights hold NaN?");
}

PixelMap cut_out(const PixelMap& map, int64_t top, int64_t left, int64_t height, int64_t width) {
  PixelMap part(height, width, map.channels());
  for (int64_t y = 0; y < height; ++y)
    std::copy_n(map.pixels.row((top + y) * map.width + left), width * map.channels(),
                part.pixels.row(y * width));
  return part;
}

/// First rows (or columns) of the tiles that cover `size` with tiles of `tile`.
std::vector<int64_t> tile_starts(int64_t size, int64_t tile) {
  std::vector<int64_t> starts;
  const int64_t step = std::max<int64_t>(1, tile - tile / 4);
  for (int64_t start = 0;; start += step) {
    if (start + tile >= size) {
      starts.push_back(std::max<int64_t>(0, size - tile));
      return starts;
    }
    starts.push_back(start);
  }
}

/// How much pixel `i` of a tile counts: rising and falling over the overlap, except at the borders
/// of the image.
float tile_weight(int64_t i, int64_t size, int64_t overlap, bool first, bool last) {
  float weight = 1.0f;
  const auto ramp = [&](int64_t distance) {
    return std::min(1.0f, (static_cast<float>(distance) + 0.5f) / static_cast<float>(overlap));
  };
  if (!first) weight *= ramp(i);
  if (!last) weight *= ramp(size - 1 - i);
  return weight;
}

}  // namespace

PixelMap decode_latents(const Autoencoder& autoencoder, PixelMap latents, ForwardContext& context) {
  const AutoencoderConfig& c = autoencoder.config();
  const auto scale = static_cast<float>(c.scaling_factor),
             shift = static_cast<float>(c.shift_factor);
  for (float& value : std::span(latents.pixels.data(), static_cast<size_t>(latents.pixels.size())))
    value = value / scale + shift;
  PixelMap image = autoencoder.decode(std::move(latents), context);
  check_finite(image);
  return image;
}

PixelMap decode_tiled(const Autoencoder& autoencoder, const PixelMap& latents, int64_t tile,
                      ForwardContext& context) {
  const int64_t factor = autoencoder.config().factor;
  const int64_t height = std::min(tile, latents.height), width = std::min(tile, latents.width);
  PixelMap image(latents.height * factor, latents.width * factor,
                 autoencoder.config().image_channels);
  std::fill_n(image.pixels.data(), image.pixels.size(), 0.0f);
  std::vector<float> total(static_cast<size_t>(image.pixels.rows()));
  const int64_t overlap = std::max<int64_t>(1, tile / 4 * factor);
  for (const int64_t top : tile_starts(latents.height, tile))
    for (const int64_t left : tile_starts(latents.width, tile)) {
      const PixelMap part =
          decode_latents(autoencoder, cut_out(latents, top, left, height, width), context);
      for (int64_t i = 0; i < part.pixels.rows(); ++i) {
        const int64_t y = i / part.width, x = i % part.width;
        const float weight =
            tile_weight(y, part.height, overlap, top == 0, top + height == latents.height) *
            tile_weight(x, part.width, overlap, left == 0, left + width == latents.width);
        const int64_t place = (top * factor + y) * image.width + left * factor + x;
        total[static_cast<size_t>(place)] += weight;
        for (int64_t c = 0; c < image.channels(); ++c)
          image.pixels(place, c) += weight * part.pixels(i, c);
      }
    }
  for (int64_t i = 0; i < image.pixels.rows(); ++i)
    for (float& value : image.pixels.view().row_span(i)) value /= total[static_cast<size_t>(i)];
  return image;
}

PixelMap averaged_down(const PixelMap& latents, int64_t side) {
  if (side < 1) throw_argument("averaged_down: expected a side of at least 1, got {}", side);
  const int64_t square = (std::max(latents.height, latents.width) + side - 1) / side;
  PixelMap result((latents.height + square - 1) / square, (latents.width + square - 1) / square,
                  latents.channels());
  std::fill_n(result.pixels.data(), result.pixels.size(), 0.0f);
  std::vector<float> counts(static_cast<size_t>(result.pixels.rows()));
  for (int64_t i = 0; i < latents.pixels.rows(); ++i) {
    const int64_t target = i / latents.width / square * result.width + i % latents.width / square;
    counts[static_cast<size_t>(target)] += 1;
    for (int64_t c = 0; c < latents.channels(); ++c)
      result.pixels(target, c) += latents.pixels(i, c);
  }
  for (int64_t i = 0; i < result.pixels.rows(); ++i)
    for (float& value : result.pixels.view().row_span(i)) value /= counts[static_cast<size_t>(i)];
  return result;
}

Picture to_picture(const PixelMap& image) {
  if (image.channels() != 3)
    throw_argument("picture: expected 3 channels, got {}", image.channels());
  Picture picture{image.width, image.height, {}};
  for (const float value :
       std::span(image.pixels.data(), static_cast<size_t>(image.pixels.size()))) {
    const float unit = std::clamp(value * 0.5f + 0.5f, 0.0f, 1.0f);
    picture.rgb.push_back(static_cast<uint8_t>(std::nearbyint(unit * 255.0f)));
  }
  return picture;
}

}  // namespace stamp
