#include "stamp/models/vae/vae.h"

#include <algorithm>

#include "stamp/models/vae/blocks.h"

namespace stamp {
namespace {

using vae::Middle;
using vae::Resnet;

struct VaeConfig : AutoencoderConfig {
  std::vector<int64_t> channels;  // of the levels, highest resolution first
  int64_t out_channels = 3, layers = 2, groups = 32;
  bool middle_attention = true, quant_conv = true, post_quant_conv = true;
};

void check_block_types(const ConfigReader& config, const char* key, const char* expected,
                       size_t count) {
  const Json* types = config.find(key);
  if (types == nullptr) return;
  const bool good =
      types->is_array() && types->size() == count &&
      std::all_of(types->begin(), types->end(), [&](const Json& type) { return type == expected; });
  if (!good) config.reject(key, fmt::format("supported is {} times \"{}\"", count, expected));
}

VaeConfig read_config(const ConfigReader& config) {
  VaeConfig c;
  c.channels =
      config.required(config.integers("block_out_channels", 1, 1 << 16), "block_out_channels");
  if (c.channels.empty() || c.channels.size() > 8)
    config.reject("block_out_channels", "expected 1 to 8 levels");
  check_block_types(config, "down_block_types", "DownEncoderBlock2D", c.channels.size());
  check_block_types(config, "up_block_types", "UpDecoderBlock2D", c.channels.size());
  c.latent_channels = config.integer("latent_channels", 1, 4096).value_or(4);
  c.image_channels = config.integer("in_channels", 1, 64).value_or(3);
  c.out_channels = config.integer("out_channels", 1, 64).value_or(3);
  c.layers = config.integer("layers_per_block", 1, 64).value_or(1);
  c.groups = config.integer("norm_num_groups", 1, 4096).value_or(32);
  for (const int64_t channels : c.channels)
    if (channels % c.groups != 0)
      config.reject("norm_num_groups", fmt::format("expected a divisor of {}", channels));
  c.scaling_factor = config.number("scaling_factor", 1e-9, 1e9).value_or(0.18215);
  c.shift_factor = config.number("shift_factor", -1e9, 1e9).value_or(0.0);
  c.middle_attention = config.boolean("mid_block_add_attention").value_or(true);
  c.quant_conv = config.boolean("use_quant_conv").value_or(true);
  c.post_quant_conv = config.boolean("use_post_quant_conv").value_or(true);
  c.factor = int64_t{1} << (c.channels.size() - 1);
  if (config.text("act_fn").value_or("silu") != "silu")
    config.reject("act_fn", "supported is \"silu\"");
  for (const char* key : {"latents_mean", "latents_std"})
    if (config.find(key)) config.reject(key, "supported is null");
  return c;
}

/// Resnets of one resolution and the step to the next one.
struct Level {
  std::vector<Resnet> resnets;
  std::optional<Convolution> resample;
};

class Vae : public Autoencoder {
 public:
  explicit Vae(std::shared_ptr<const Component> component)
      : component_(std::move(component)), config_(read_config(component_->config())) {
    load_decoder();
    has_encoder_ = component_->has("encoder.conv_in.weight");
    if (has_encoder_) load_encoder();
  }

  const AutoencoderConfig& config() const override { return config_; }

  PixelMap decode(PixelMap latent, ForwardContext& context) const override {
    PixelMap x, y;
    if (config_.post_quant_conv) {
      post_quant_.forward({latent}, x);
      latent = std::move(x);
    }
    decoder_in_.forward({latent}, x);
    decoder_middle_->forward(x, "dec_mid", context);
    for (size_t i = 0; i < decoder_.size(); ++i) {
      for (const Resnet& resnet : decoder_[i].resnets) resnet.forward(x);
      if (decoder_[i].resample) {
        decoder_[i].resample->forward({.map = x, .upsample = 2}, y);
        x = std::move(y);
      }
      vae::observe(context, fmt::format("dec_up_{}", i), x);
    }
    return vae::norm_and_convolve(x, config_.groups, decoder_norm_, decoder_out_);
  }

  PixelMap encode(PixelMap image, ForwardContext& context) const override {
    if (!has_encoder_)
      throw_runtime("{}: the file has no encoder", component_->directory().string());
    PixelMap x, y;
    encoder_in_.forward({image}, x);
    for (const Level& level : encoder_) {
      for (const Resnet& resnet : level.resnets) resnet.forward(x);
      if (!level.resample) continue;
      level.resample->forward({x}, y);
      x = std::move(y);
    }
    encoder_middle_->forward(x, "enc_mid", context);
    x = vae::norm_and_convolve(x, config_.groups, encoder_norm_, encoder_out_);
    if (config_.quant_conv) {
      quant_.forward({x}, y);
      x = std::move(y);
    }
    for (int64_t i = 0; i < x.pixels.rows(); ++i)
      for (int64_t c = config_.latent_channels; c < x.channels(); ++c)
        x.pixels(i, c) = std::clamp(x.pixels(i, c), -30.0f, 20.0f);
    return x;
  }

  int64_t decode_bytes(int64_t height, int64_t width) const override {
    // At full resolution: the wide input of the last level, its narrow form and one hidden map.
    const int64_t narrow = config_.channels.front();
    const int64_t wide = config_.channels[std::min<size_t>(1, config_.channels.size() - 1)];
    return height * width * (wide + 2 * narrow) * int64_t{sizeof(float)};
  }

 private:
  Convolution convolution(const std::string& name, int64_t out, int64_t in,
                          int64_t size = 3) const {
    return component_->convolution(name, {.out = out, .in = in, .size = size},
                                   size == 3 ? vae::kSame : ConvolutionOptions{});
  }

  Level load_level(const std::string& name, int64_t in, int64_t out, int64_t count) const {
    Level level;
    for (int64_t j = 0; j < count; ++j)
      level.resnets.emplace_back(*component_, fmt::format("{}.resnets.{}", name, j),
                                 j == 0 ? in : out, out, config_.groups);
    return level;
  }

  void load_decoder() {
    const VaeConfig& c = config_;
    const int64_t widest = c.channels.back(), latent = c.latent_channels;
    if (c.post_quant_conv) post_quant_ = convolution("post_quant_conv", latent, latent, 1);
    decoder_in_ = convolution("decoder.conv_in", widest, latent);
    decoder_middle_.emplace(*component_, "decoder.mid_block", widest, c.groups, c.middle_attention);
    int64_t in = widest;
    for (size_t i = 0; i < c.channels.size(); ++i) {
      const int64_t out = c.channels[c.channels.size() - 1 - i];
      const std::string name = fmt::format("decoder.up_blocks.{}", i);
      Level level = load_level(name, in, out, c.layers + 1);
      if (i + 1 < c.channels.size())
        level.resample = convolution(name + ".upsamplers.0.conv", out, out);
      decoder_.push_back(std::move(level));
      in = out;
    }
    decoder_norm_ = component_->affine("decoder.conv_norm_out", c.channels.front());
    decoder_out_ = convolution("decoder.conv_out", c.out_channels, c.channels.front());
  }

  void load_encoder() {
    const VaeConfig& c = config_;
    const int64_t widest = c.channels.back(), moments = 2 * c.latent_channels;
    encoder_in_ = convolution("encoder.conv_in", c.channels.front(), c.image_channels);
    int64_t in = c.channels.front();
    for (size_t i = 0; i < c.channels.size(); ++i) {
      const int64_t out = c.channels[i];
      const std::string name = fmt::format("encoder.down_blocks.{}", i);
      Level level = load_level(name, in, out, c.layers);
      if (i + 1 < c.channels.size())
        level.resample = component_->convolution(name + ".downsamplers.0.conv",
                                                 {.out = out, .in = out, .size = 3},
                                                 {.stride = 2, .pad_after = 1});
      encoder_.push_back(std::move(level));
      in = out;
    }
    encoder_middle_.emplace(*component_, "encoder.mid_block", widest, c.groups, c.middle_attention);
    encoder_norm_ = component_->affine("encoder.conv_norm_out", widest);
    encoder_out_ = convolution("encoder.conv_out", moments, widest);
    if (c.quant_conv) quant_ = convolution("quant_conv", moments, moments, 1);
  }

  std::shared_ptr<const Component> component_;
  VaeConfig config_;
  bool has_encoder_ = false;
  Convolution post_quant_, decoder_in_, decoder_out_, encoder_in_, encoder_out_, quant_;
  std::optional<Middle> decoder_middle_, encoder_middle_;
  std::vector<Level> decoder_, encoder_;  // in the order of use
  ChannelAffine decoder_norm_, encoder_norm_;
};

}  // namespace

AutoencoderConfig read_vae_config(const ConfigReader& config) { return read_config(config); }

std::unique_ptr<Autoencoder> make_vae(std::shared_ptr<const Component> component) {
  return std::make_unique<Vae>(std::move(component));
}

}  // namespace stamp
