#pragma once
// How far an image is from its reference.
#include "stamp/nn/pixel_map.h"
#include "stamp/quant/metrics.h"

namespace stamp {

/// Figures of one image; infinite where both are equal.
struct ImageScore {
  double sqnr = 0;          // dB of pixels in [-1, 1]
  double sqnr_unit = 0;     // dB of pixels in [0, 1]: the offset counts as signal
  double sqnr_latents = 0;  // dB of what the transformer left
  double psnr = 0;          // dB, of [0, 1]
  double ssim = 0;          // of [0, 1], mean over channels
};

/// The image with values clamped to [-1, 1].
PixelMap clamped(PixelMap image);
/// Pixels in [-1, 1]. Throws std::invalid_argument when sizes differ.
double image_sqnr(const PixelMap& reference, const PixelMap& image);
double image_sqnr_unit(const PixelMap& reference, const PixelMap& image);
double image_psnr(const PixelMap& reference, const PixelMap& image);
/// Structural similarity (Wang et al. 2004) of [0, 1]: Gaussian windows of 11 x 11 pixels (sigma
/// 1.5) that lie inside the image, each channel on its own. Throws std::invalid_argument for images
/// smaller than a window.
double image_ssim(const PixelMap& reference, const PixelMap& image);

}  // namespace stamp
