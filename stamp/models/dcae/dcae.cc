#include "stamp/models/dcae/dcae.h"

#include "stamp/models/dcae/blocks.h"
#include "stamp/nn/activations.h"
#include "stamp/nn/layers.h"

namespace stamp {
namespace {

using dcae::Block;

/// One resolution of encoder or decoder.
struct StageConfig {
  int64_t channels = 0, layers = 0;
  bool vit = false;
  std::vector<int64_t> kernels;
};

struct DcaeConfig : AutoencoderConfig {
  int64_t head_dim = 32;
  std::vector<StageConfig> encoder, decoder;  // highest resolution first
  bool encoder_shortcut = true, decoder_shortcut = true;
  bool shuffle_down = true, shuffle_up = true;
};

/// Element `index` of a list, or the value itself where there is one for all.
const Json& element(const ConfigReader& config, const std::string& key, size_t index) {
  const Json* value = config.find(key);
  if (value == nullptr) throw_runtime("{}: '{}' is missing", config.where(), key);
  if (!value->is_array()) return *value;
  if (index >= value->size()) config.reject(key, fmt::format("expected more than {}", index));
  return (*value)[index];
}

std::vector<int64_t> read_kernels(const ConfigReader& config, const std::string& key,
                                  size_t index) {
  const Json& list = element(config, key, index);
  std::vector<int64_t> kernels;
  if (!list.is_array()) config.reject(key, "expected a list of lists");
  for (const Json& kernel : list) {
    const bool odd = kernel.is_number_unsigned() && kernel < 64 && kernel.get<int64_t>() % 2 == 1;
    if (!odd) config.reject(key, "expected odd kernel sizes below 64");
    kernels.push_back(kernel.get<int64_t>());
  }
  return kernels;
}

std::vector<StageConfig> read_stages(const ConfigReader& config, const std::string& part) {
  const auto channels = config.required(config.integers(part + "_block_out_channels", 1, 1 << 16),
                                        part + "_block_out_channels");
  const auto layers = config.required(config.integers(part + "_layers_per_block", 1, 64),
                                      part + "_layers_per_block");
  if (channels.empty() || channels.size() > 10 || layers.size() != channels.size())
    config.reject(part + "_layers_per_block", "expected as many as block_out_channels, up to 10");
  std::vector<StageConfig> stages;
  for (size_t i = 0; i < channels.size(); ++i) {
    StageConfig stage{.channels = channels[i], .layers = layers[i]};
    const Json& type = element(config, part + "_block_types", i);
    stage.vit = type == "EfficientViTBlock";
    if (!stage.vit && type != "ResBlock")
      config.reject(part + "_block_types", "supported are ResBlock and EfficientViTBlock");
    stage.kernels = read_kernels(config, part + "_qkv_multiscales", i);
    stages.push_back(std::move(stage));
  }
  return stages;
}

/// Neighbouring stages must be able to average or repeat channels.
void check_shortcuts(const ConfigReader& config, const std::string& part,
                     const std::vector<StageConfig>& stages, int64_t latent, int64_t head_dim) {
  for (size_t i = 0; i < stages.size(); ++i) {
    const int64_t channels = stages[i].channels;
    const bool fits = i == 0 || (4 * stages[i - 1].channels) % channels == 0;
    const bool heads = !stages[i].vit || channels % head_dim == 0;
    if (!fits || !heads || (i + 1 == stages.size() && channels % latent != 0))
      config.reject(part + "_block_out_channels", "sizes do not fit shortcuts or heads");
  }
}

bool choice(const ConfigReader& config, const char* key, const char* first, const char* second) {
  const std::string text = config.text(key).value_or(first);
  if (text != first && text != second)
    config.reject(key, fmt::format("supported are {} and {}", first, second));
  return text == first;
}

DcaeConfig read_config(const ConfigReader& config) {
  DcaeConfig c;
  c.latent_channels = config.integer("latent_channels", 1, 4096).value_or(32);
  c.image_channels = config.integer("in_channels", 1, 64).value_or(3);
  c.head_dim = config.integer("attention_head_dim", 1, 4096).value_or(32);
  c.scaling_factor = config.number("scaling_factor", 1e-9, 1e9).value_or(1.0);
  c.encoder = read_stages(config, "encoder");
  c.decoder = read_stages(config, "decoder");
  check_shortcuts(config, "encoder", c.encoder, c.latent_channels, c.head_dim);
  check_shortcuts(config, "decoder", c.decoder, c.latent_channels, c.head_dim);
  c.factor = int64_t{1} << (c.encoder.size() - 1);
  c.encoder_shortcut = config.boolean("encoder_out_shortcut").value_or(true);
  c.decoder_shortcut = config.boolean("decoder_in_shortcut").value_or(true);
  c.shuffle_down = choice(config, "downsample_block_type", "pixel_unshuffle", "conv");
  c.shuffle_up = choice(config, "upsample_block_type", "pixel_shuffle", "interpolate");
  for (size_t i = 0; i < c.decoder.size(); ++i) {
    for (const auto& [key, value] :
         {std::pair("decoder_norm_types", "rms_norm"), std::pair("decoder_act_fns", "silu")})
      if (config.find(key) && element(config, key, i) != value)
        config.reject(key, fmt::format("supported is \"{}\"", value));
  }
  if (config.text("decoder_conv_act_fn").value_or("relu") != "relu")
    config.reject("decoder_conv_act_fn", "supported is \"relu\"");
  return c;
}

class Dcae : public Autoencoder {
 public:
  explicit Dcae(std::shared_ptr<const Component> component)
      : component_(std::move(component)), config_(read_config(component_->config())) {
    load_decoder();
    has_encoder_ = component_->has("encoder.conv_in.weight");
    if (has_encoder_) load_encoder();
  }

  const AutoencoderConfig& config() const override { return config_; }

  PixelMap decode(PixelMap latent, ForwardContext& context) const override {
    PixelMap x;
    decoder_in_.forward({latent}, x);
    observe(context, "dec_conv_in", x);
    if (config_.decoder_shortcut)
      add_rows(x.pixels.view(),
               dcae::repeat_channels(latent, x.channels() / latent.channels()).pixels.view());
    for (size_t i = decoder_.size(); i-- > 0;) {
      for (const auto& block : decoder_[i]) block->forward(x, context);
      observe(context, fmt::format("dec_up_{}", i), x);
    }
    rms_norm_pixels(x, decoder_norm_, dcae::kNormEps);
    observe(context, "dec_norm_out", x);
    relu(x.pixels.view());
    PixelMap image;
    decoder_out_.forward({x}, image);
    return image;
  }

  PixelMap encode(PixelMap image, ForwardContext& context) const override {
    if (!has_encoder_)
      throw_runtime("{}: the file has no encoder", component_->directory().string());
    PixelMap x, latent;
    encoder_in_.forward({image}, x);
    for (const auto& stage : encoder_)
      for (const auto& block : stage) block->forward(x, context);
    encoder_out_.forward({x}, latent);
    if (config_.encoder_shortcut)
      add_rows(latent.pixels.view(),
               dcae::mean_of_runs(x, x.channels() / latent.channels()).pixels.view());
    return latent;
  }

  int64_t decode_bytes(int64_t height, int64_t width) const override {
    // Three maps of a block at full resolution.
    return height * width * 3 * config_.decoder.front().channels * int64_t{sizeof(float)};
  }

 private:
  using Stage = std::vector<std::unique_ptr<Block>>;

  void add_layers(const std::string& name, const StageConfig& config, Stage& stage) const {
    for (int64_t i = 0; i < config.layers; ++i) {
      const std::string block = fmt::format("{}.{}", name, stage.size());
      stage.push_back(
          config.vit ? dcae::make_vit_block(*component_, block,
                                            {config.channels, config_.head_dim, config.kernels})
                     : dcae::make_res_block(*component_, block, config.channels));
    }
  }

  void load_decoder() {
    const auto& stages = config_.decoder;
    decoder_in_ = dcae::convolution3(*component_, "decoder.conv_in", stages.back().channels,
                                     config_.latent_channels);
    for (size_t i = 0; i < stages.size(); ++i) {
      const std::string name = fmt::format("decoder.up_blocks.{}", i);
      Stage stage;
      if (i + 1 < stages.size())
        stage.push_back(dcae::make_up_block(*component_, name + ".0", stages[i + 1].channels,
                                            stages[i].channels, config_.shuffle_up));
      add_layers(name, stages[i], stage);
      decoder_.push_back(std::move(stage));
    }
    const int64_t channels = stages.front().channels;
    decoder_norm_ = component_->affine("decoder.norm_out", channels);
    decoder_out_ =
        dcae::convolution3(*component_, "decoder.conv_out", config_.image_channels, channels);
  }

  void load_encoder() {
    const auto& stages = config_.encoder;
    encoder_in_ = dcae::convolution3(*component_, "encoder.conv_in", stages.front().channels,
                                     config_.image_channels);
    for (size_t i = 0; i < stages.size(); ++i) {
      const std::string name = fmt::format("encoder.down_blocks.{}", i);
      Stage stage;
      add_layers(name, stages[i], stage);
      if (i + 1 < stages.size())
        stage.push_back(dcae::make_down_block(*component_, fmt::format("{}.{}", name, stage.size()),
                                              stages[i].channels, stages[i + 1].channels,
                                              config_.shuffle_down));
      encoder_.push_back(std::move(stage));
    }
    encoder_out_ = dcae::convolution3(*component_, "encoder.conv_out", config_.latent_channels,
                                      stages.back().channels);
  }

  static void observe(ForwardContext& context, const std::string& name, const PixelMap& x) {
    if (context.observer) context.observer->on_hidden(name, x.pixels.view());
  }

  std::shared_ptr<const Component> component_;
  DcaeConfig config_;
  bool has_encoder_ = false;
  Convolution decoder_in_, decoder_out_, encoder_in_, encoder_out_;
  ChannelAffine decoder_norm_;
  std::vector<Stage> decoder_, encoder_;  // highest resolution first
};

}  // namespace

AutoencoderConfig read_dcae_config(const ConfigReader& config) { return read_config(config); }

std::unique_ptr<Autoencoder> make_dcae(std::shared_ptr<const Component> component) {
  return std::make_unique<Dcae>(std::move(component));
}

}  // namespace stamp
