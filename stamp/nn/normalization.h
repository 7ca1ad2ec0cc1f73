#pragma once
// Norms of images and diffusion transformers, on all threads.
#include <span>

#include "stamp/nn/pixel_map.h"

namespace stamp {

/// Learned scale and offset per channel.
struct ChannelAffine {
  std::vector<float> weight, bias;
};
/// out = (x - mean) / sqrt(variance + eps) * weight + bias, row by row; out may be x. Throws
/// std::invalid_argument when shapes differ.
void layer_norm_rows(ConstFloatView x, const ChannelAffine& affine, double eps, FloatView out);
/// out = (x - mean) / sqrt(variance + eps) * (1 + scale) + shift, row by row; scale and shift have
/// a value per column. out may be x. Throws std::invalid_argument when shapes differ.
void modulated_layer_norm(ConstFloatView x, std::span<const float> scale,
                          std::span<const float> shift, double eps, FloatView out);

/// Group norm over all pixels of each of `groups` runs of channels, with its learned affine, comes
/// down to x * weight + bias of the result. Throws std::invalid_argument when the channels are no
/// multiple of the groups.
ChannelAffine group_norm(const PixelMap& x, int64_t groups, const ChannelAffine& affine,
                         double eps);
/// x / sqrt(mean over channels of x^2 + eps) * weight + bias, pixel by pixel, in place.
void rms_norm_pixels(PixelMap& x, const ChannelAffine& affine, double eps);

}  // namespace stamp
