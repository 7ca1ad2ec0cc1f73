#pragma once
// Encoders of prompts. Const after load.
#include <memory>
#include <span>

#include "stamp/models/component.h"

namespace stamp {

class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  virtual int64_t hidden_size() const = 0;
  /// States after the final norm, [ids.size(), hidden_size]. Tokens with mask 0 are not attended to
  /// (their own rows are computed, and mean nothing). Throws std::invalid_argument for ids out of
  /// range, a mask of another size or one without a token.
  virtual Matrix forward(std::span<const int32_t> ids, std::span<const uint8_t> mask,
                         ForwardContext& context) const = 0;
};

/// The encoder of DIR (config.json and model.safetensors): T5EncoderModel or Gemma2Model. Throws
/// std::runtime_error for another architecture, missing tensors, wrong shapes.
std::unique_ptr<TextEncoder> open_text_encoder(const std::filesystem::path& directory);

/// 0 where the mask is 1, `hidden` where it is 0. Throws as TextEncoder::forward().
std::vector<float> key_bias_of(std::span<const uint8_t> mask, size_t tokens, float hidden);

}  // namespace stamp
