#include "stamp/models/clip/clip.h"

#include <algorithm>

#include "stamp/nn/layers.h"
#include "stamp/nn/normalization.h"

namespace stamp {
namespace {

constexpr int64_t kOldEosId = 2;
constexpr const char* kText = "text_model.";
constexpr const char* kVision = "vision_model.";

int64_t patches_a_side(const ClipConfig& config) { return config.image_size / config.patch_size; }

/// The kernel [hidden, 3, patch, patch] as a linear over a patch's values.
Linear patch_linear(const Component& component, const ClipConfig& config) {
  const std::string name = std::string(kVision) + "embeddings.patch_embedding";
  const int64_t hidden = config.vision.hidden_size, size = config.patch_size;
  LinearWeight weight{.name = name,
                      .weight = component.tensor(name + ".weight", {hidden, 3, size, size})};
  weight.weight.shape = {hidden, 3 * size * size};
  return Linear(name, {std::move(weight)}, Recipe{}, nullptr);
}

/// [patches, 3 * size * size], a patch's channels one after another.
Matrix cut_patches(const PixelMap& pixels, int64_t size) {
  const int64_t across = pixels.width / size, down = pixels.height / size;
  Matrix patches(down * across, 3 * size * size);
  for (int64_t i = 0; i < patches.rows(); ++i) {
    float* out = patches.row(i);
    for (int64_t c = 0; c < 3; ++c)
      for (int64_t y = 0; y < size; ++y)
        for (int64_t x = 0; x < size; ++x)
          *out++ = pixels.pixels((i / across * size + y) * pixels.width + i % across * size + x, c);
  }
  return patches;
}

/// Embedding of the token in row `index` of `states`.
std::vector<float> project(const Matrix& states, size_t index, const ChannelAffine& norm,
                           double eps, const Linear& projection, ForwardContext& context) {
  Matrix token(1, states.cols());
  std::copy_n(states.row(static_cast<int64_t>(index)), states.cols(), token.row(0));
  layer_norm_rows(token.view(), norm, eps, token.view());
  const Matrix embedding = apply(projection, token.view(), context);
  return {embedding.data(), embedding.data() + embedding.size()};
}

}  // namespace

size_t clip_text_end(std::span<const int32_t> ids, int64_t eos_id) {
  if (eos_id == kOldEosId)
    return static_cast<size_t>(std::max_element(ids.begin(), ids.end()) - ids.begin());
  const auto found = std::find(ids.begin(), ids.end(), eos_id);
  return found == ids.end() ? 0 : static_cast<size_t>(found - ids.begin());
}

ClipFiles::ClipFiles(const std::filesystem::path& directory)
    : component(Component::open(directory, "model")),
      config(read_clip_config(component->config())) {}

ClipTextTower::ClipTextTower(const ClipFiles& files)
    : component_(files.component),
      config_(files.config),
      tokens_(component_->tensor(std::string(kText) + "embeddings.token_embedding.weight",
                                 {config_.vocab_size, config_.text.hidden_size}),
              16),
      positions_(
          to_matrix(component_->tensor(std::string(kText) + "embeddings.position_embedding.weight",
                                       {config_.max_tokens, config_.text.hidden_size}))),
      encoder_(*component_, std::string(kText) + "encoder.layers", config_.text),
      final_norm_(
          component_->affine(std::string(kText) + "final_layer_norm", config_.text.hidden_size)),
      projection_(plain_linear(*component_, "text_projection", config_.projection_size,
                               config_.text.hidden_size)) {}

std::vector<float> ClipTextTower::embed(std::span<const int32_t> ids,
                                        ForwardContext& context) const {
  const auto count = static_cast<int64_t>(ids.size());
  if (count < 1 || count > config_.max_tokens)
    throw_argument("CLIP: expected 1 to {} tokens of a text, got {}", config_.max_tokens, count);
  Matrix x(count, config_.text.hidden_size);
  tokens_.gather(ids, x.view());
  add_rows(x.view(), positions_.view().rows_from(0, count));
  encoder_.forward(x, true, context);
  return project(x, clip_text_end(ids, config_.eos_id), final_norm_, config_.text.eps, projection_,
                 context);
}

ClipVisionTower::ClipVisionTower(const ClipFiles& files)
    : component_(files.component),
      config_(files.config),
      class_token_(component_->vector(std::string(kVision) + "embeddings.class_embedding",
                                      config_.vision.hidden_size)),
      patches_(patch_linear(*component_, config_)),
      positions_(to_matrix(component_->tensor(
          std::string(kVision) + "embeddings.position_embedding.weight",
          {patches_a_side(config_) * patches_a_side(config_) + 1, config_.vision.hidden_size}))),
      // The spelling is that of the public checkpoints.
      first_norm_(
          component_->affine(std::string(kVision) + "pre_layrnorm", config_.vision.hidden_size)),
      last_norm_(
          component_->affine(std::string(kVision) + "post_layernorm", config_.vision.hidden_size)),
      encoder_(*component_, std::string(kVision) + "encoder.layers", config_.vision),
      projection_(plain_linear(*component_, "visual_projection", config_.projection_size,
                               config_.vision.hidden_size)) {}

std::vector<float> ClipVisionTower::embed(const PixelMap& pixels, ForwardContext& context) const {
  if (pixels.height != config_.image_size || pixels.width != config_.image_size ||
      pixels.channels() != 3)
    throw_argument("CLIP: expected an image [{0}, {0}, 3], got [{1}, {2}, {3}]", config_.image_size,
                   pixels.height, pixels.width, pixels.channels());
  const Matrix patches = apply(patches_, cut_patches(pixels, config_.patch_size).view(), context);
  Matrix x(patches.rows() + 1, patches.cols());
  std::copy(class_token_.begin(), class_token_.end(), x.row(0));
  std::copy_n(patches.data(), patches.size(), x.row(1));
  add_rows(x.view(), positions_.view());
  layer_norm_rows(x.view(), first_norm_, config_.vision.eps, x.view());
  encoder_.forward(x, false, context);
  return project(x, 0, last_norm_, config_.vision.eps, projection_, context);
}

}  // namespace stamp
