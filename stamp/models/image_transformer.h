#pragma once
// Diffusion transformers: latents, a time and a text condition in, a prediction of the noise (or of
// the velocity) out. Const after load.
#include <memory>

#include "stamp/models/component.h"
#include "stamp/models/model.h"

namespace stamp {

struct ImageTransformerConfig {
  int64_t layers = 0, heads = 0, head_dim = 0, cross_heads = 0, cross_head_dim = 0;
  int64_t in_channels = 0, out_channels = 0, patch_size = 1, sample_size = 0;
  int64_t caption_channels = 0, ff_size = 0;
  double norm_eps = 1e-6;
  double timestep_scale = 1.0;   // of what the scheduler gives
  double position_scale = 0.0;   // of the sine and cosine positions; 0: there are none
  bool size_conditions = false;  // image size and aspect ratio are told (PixArt-alpha, 1024)
  bool qk_norm = false;

  int64_t dim() const { return heads * head_dim; }
};

/// What an image is conditioned on besides the time; made once per prompt.
struct ImageCondition {
  Matrix caption;                // [text tokens, dim], projected
  std::vector<float> key_bias;   // per text token, 0 or very low; empty: all count
  double height = 0, width = 0;  // of the image in pixels, for models with size_conditions
};

class ImageTransformer {
 public:
  virtual ~ImageTransformer() = default;
  virtual const ImageTransformerConfig& config() const = 0;
  virtual const Recipe& recipe() const = 0;
  /// The condition for a text encoder's states [tokens, caption_channels]; text tokens with mask 0
  /// do not count. Throws std::invalid_argument for other sizes.
  virtual ImageCondition condition(ConstFloatView text, std::span<const uint8_t> mask,
                                   ForwardContext& context) const = 0;
  /// latent: [h, w, in_channels], sides multiples of patch_size; the result has out_channels.
  /// `timestep` is the scheduler's times timestep_scale.
  virtual PixelMap forward(const PixelMap& latent, double timestep, const ImageCondition& condition,
                           ForwardContext& context) const = 0;
  /// Data and scale bits of all quantized linear inputs for one image of h x w latents.
  virtual BitCount activation_bits(int64_t height, int64_t width) const = 0;
  /// The linears that a recipe may quantize.
  virtual std::vector<const Linear*> quantizable() const = 0;
  virtual bool simulated() const = 0;
  /// Bytes of weights that one step reads.
  virtual int64_t weight_bytes() const = 0;
  virtual std::vector<std::string> notes() const = 0;
};

/// What the config.json of such a transformer says. Throws std::runtime_error for other classes,
/// options that are not implemented and sizes that do not fit together.
ImageTransformerConfig read_image_transformer_config(const ConfigReader& config);
/// The transformer of DIR: PixArtTransformer2DModel, Transformer2DModel (as PixArt's older files
/// say) or SanaTransformer2DModel, with a recipe applied. Throws std::runtime_error for other
/// classes, options that are not implemented, missing tensors and wrong shapes.
std::unique_ptr<ImageTransformer> open_image_transformer(const std::filesystem::path& directory,
                                                         const ModelOptions& options = {});

}  // namespace stamp
