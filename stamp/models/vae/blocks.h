#pragma once
// What encoder and decoder of AutoencoderKL are made of.
#include "stamp/models/component.h"

namespace stamp::vae {

inline constexpr ConvolutionOptions kSame = {.pad_before = 1, .pad_after = 1};  // of 3x3 kernels
inline constexpr double kNormEps = 1e-6;

/// x := shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x)))))).
class Resnet {
 public:
  Resnet(const Component& component, const std::string& name, int64_t in, int64_t out,
         int64_t groups);
  void forward(PixelMap& x) const;

 private:
  ChannelAffine norm1_, norm2_;
  Convolution conv1_, conv2_;
  std::optional<Convolution> shortcut_;
  int64_t groups_;
};

/// x := x + attention of all pixels to each other, one head.
class PixelAttention {
 public:
  PixelAttention(const Component& component, const std::string& name, int64_t channels,
                 int64_t groups);
  void forward(PixelMap& x, ForwardContext& context) const;

 private:
  ChannelAffine norm_;
  Linear qkv_, out_;
  int64_t groups_;
};

/// Resnet, attention, resnet at the lowest resolution.
class Middle {
 public:
  Middle(const Component& component, const std::string& name, int64_t channels, int64_t groups,
         bool with_attention);
  /// The observer sees the map after the attention as NAME_attn, and at the end as NAME_block.
  void forward(PixelMap& x, const std::string& name, ForwardContext& context) const;

 private:
  Resnet first_;
  std::optional<PixelAttention> attention_;
  Resnet second_;
};

/// conv(silu(norm(x))).
PixelMap norm_and_convolve(const PixelMap& x, int64_t groups, const ChannelAffine& norm,
                           const Convolution& convolution);
void observe(ForwardContext& context, const std::string& name, const PixelMap& x);

}  // namespace stamp::vae
