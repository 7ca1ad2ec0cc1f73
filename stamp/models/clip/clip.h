#pragma once
// The two towers of CLIP (Radford et al. 2021), which map texts and images to one space. Const
// after load; each can be had alone.
#include <memory>
#include <span>

#include "stamp/models/clip/clip_encoder.h"
#include "stamp/nn/embedding.h"
#include "stamp/nn/pixel_map.h"

namespace stamp {

/// Maps DIR/model.safetensors beside DIR/config.json and reads the latter. Throws
/// std::runtime_error for another class than CLIPModel and as read_clip_config().
struct ClipFiles {
  explicit ClipFiles(const std::filesystem::path& directory);
  std::shared_ptr<const Component> component;
  ClipConfig config;
};

class ClipTextTower {
 public:
  /// Throws std::runtime_error for missing tensors and wrong shapes.
  explicit ClipTextTower(const ClipFiles& files);
  /// The text's embedding [projection_size], not normalized: the projected state, behind the final
  /// norm, of token clip_text_end(). Throws std::invalid_argument unless there are 1 to max_tokens
  /// ids.
  std::vector<float> embed(std::span<const int32_t> ids, ForwardContext& context) const;

 private:
  std::shared_ptr<const Component> component_;
  ClipConfig config_;
  Embedding tokens_;
  Matrix positions_;
  ClipEncoder encoder_;
  ChannelAffine final_norm_;
  Linear projection_;
};

class ClipVisionTower {
 public:
  /// Throws std::runtime_error for missing tensors and wrong shapes.
  explicit ClipVisionTower(const ClipFiles& files);
  /// The image's embedding [projection_size], not normalized: the projected state, behind the last
  /// norm, of the class token. `pixels` [image_size, image_size, 3] as ClipImageProcessor makes
  /// them. Throws std::invalid_argument for other sizes.
  std::vector<float> embed(const PixelMap& pixels, ForwardContext& context) const;

 private:
  std::shared_ptr<const Component> component_;
  ClipConfig config_;
  std::vector<float> class_token_;
  Linear patches_;
  Matrix positions_;
  ChannelAffine first_norm_, last_norm_;
  ClipEncoder encoder_;
  Linear projection_;
};

/// Index of the token whose state stands for the text: the first one with id `eos_id`, or, where
/// that is 2 (configs of before 2023 had a wrong one), the first one with the highest id; 0 when
/// there is none, as transformers has it.
size_t clip_text_end(std::span<const int32_t> ids, int64_t eos_id);

}  // namespace stamp
