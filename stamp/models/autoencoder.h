#pragma once
// Autoencoders between images and latents. Const after load.
#include <memory>

#include "stamp/models/component.h"

namespace stamp {

struct AutoencoderConfig {
  int64_t latent_channels = 0, image_channels = 3;
  int64_t factor = 8;           // pixels of an image per latent, in either direction
  double scaling_factor = 1.0;  // transformers see latents times this
  double shift_factor = 0.0;    // after it was subtracted
};

class Autoencoder {
 public:
  virtual ~Autoencoder() = default;
  virtual const AutoencoderConfig& config() const = 0;
  /// Image, about -1 .. 1, [factor h, factor w, image_channels], of latents [h, w,
  /// latent_channels], neither scaled nor shifted. Throws std::invalid_argument for other channels.
  virtual PixelMap decode(PixelMap latent, ForwardContext& context) const = 0;
  /// Latents of an image whose sides are multiples of `factor`. A variational encoder gives means
  /// and, in as many further channels, log variances within [-30, 20].
  virtual PixelMap encode(PixelMap image, ForwardContext& context) const = 0;
  /// About how many bytes decode() needs for an image of this size, besides the weights.
  virtual int64_t decode_bytes(int64_t height, int64_t width) const = 0;
};

/// What the config.json of such an autoencoder says. Throws std::runtime_error for other classes,
/// options that are not implemented and sizes that do not fit together.
AutoencoderConfig read_autoencoder_config(const ConfigReader& config);
/// The autoencoder of DIR: AutoencoderKL or AutoencoderDC. Throws std::runtime_error for other
/// classes, options that are not implemented, missing tensors and wrong shapes.
std::unique_ptr<Autoencoder> open_autoencoder(const std::filesystem::path& directory);

}  // namespace stamp
