#include "stamp/models/pixart/pixart.h"

#include <algorithm>
#include <cmath>

#include "stamp/models/dit/dit.h"
#include "stamp/nn/activations.h"
#include "stamp/nn/full_attention.h"

namespace stamp {
namespace {

void check_options(const ConfigReader& config, const ImageTransformerConfig& c) {
  const auto expect = [&](const char* key, const char* value) {
    if (config.text(key).value_or(value) != value)
      config.reject(key, fmt::format("supported is \"{}\"", value));
  };
  expect("norm_type", "ada_norm_single");
  expect("activation_fn", "gelu-approximate");
  expect("attention_type", "default");
  if (c.dim() % 4 != 0)
    config.reject("attention_head_dim", "expected heads times this to be a multiple of 4");
  if (c.size_conditions && c.dim() % 3 != 0)
    config.reject("use_additional_conditions", "expected a width that is a multiple of 3");
}

class PixArt : public Dit {
 public:
  PixArt(std::shared_ptr<const Component> component, const ModelOptions& options)
      : Dit(component, read_pixart_config(component->config()), {"pos_embed.proj", "adaln_single"},
            options) {
    const int64_t dim = config_.dim();
    for (int64_t i = 0; i < config_.layers; ++i) {
      const LayerLoader loader(*component_, options, i);
      layers_.push_back(
          {loader.linear(
               "attn1_in",
               {{"attn1.to_q", dim, dim}, {"attn1.to_k", dim, dim}, {"attn1.to_v", dim, dim}}),
           loader.linear("attn1_out_in", {{"attn1.to_out.0", dim, dim}}, config_.head_dim),
           loader.linear("ff_in", {{"ff.net.0.proj", config_.ff_size, dim}}),
           loader.linear("ff_down_in", {{"ff.net.2", dim, config_.ff_size}})});
    }
  }

 protected:
  void self_attention(size_t index, DitWorkspace& work, ForwardContext& context) const override {
    const Layer& layer = layers_[index];
    Matrix* const qkv[] = {&work.q, &work.k, &work.v};
    layer.qkv.forward(work.input.view(), 0, qkv, context);
    {
      const PhaseScope scope(context.phases, Phase::kAttention);
      full_attention(work.q.view(), work.k.view(), work.v.view(),
                     {.heads = config_.heads,
                      .kv_heads = config_.heads,
                      .head_dim = config_.head_dim,
                      .scale = 1.0f / std::sqrt(static_cast<float>(config_.head_dim)),
                      .eight_bits = recipe_.attention_bits == 8},
                     work.input.view());
    }
    work.branch.reshape(work.x.rows(), work.x.cols());
    layer.out.forward_into(work.input.view(), 0, work.branch.view(), false, context);
  }

  void feed_forward(size_t index, DitWorkspace& work, ForwardContext& context) const override {
    const Layer& layer = layers_[index];
    Matrix* const hidden[] = {&work.hidden};
    layer.up.forward(work.input.view(), 0, hidden, context);
    gelu(work.hidden.view());
    work.branch.reshape(work.x.rows(), work.x.cols());
    layer.down.forward_into(work.hidden.view(), 0, work.branch.view(), false, context);
  }

  std::vector<const Linear*> own_linears() const override {
    std::vector<const Linear*> linears;
    for (const Layer& layer : layers_)
      for (const Linear* linear : {&layer.qkv, &layer.out, &layer.up, &layer.down})
        linears.push_back(linear);
    return linears;
  }

 private:
  struct Layer {
    Linear qkv, out, up, down;
  };
  std::vector<Layer> layers_;
};

}  // namespace

ImageTransformerConfig read_pixart_config(const ConfigReader& config) {
  ImageTransformerConfig c = read_dit_sizes(config, {.layers = 28,
                                                     .heads = 16,
                                                     .head_dim = 72,
                                                     .in_channels = 4,
                                                     .patch_size = 2,
                                                     .sample_size = 128,
                                                     .caption_channels = 4096});
  c.cross_heads = c.heads;
  c.cross_head_dim = c.head_dim;
  c.ff_size = 4 * c.dim();
  const auto otherwise = static_cast<double>(std::max<int64_t>(c.sample_size / 64, 1));
  c.position_scale = config.number("interpolation_scale", 1e-6, 1e6).value_or(otherwise);
  c.size_conditions = config.boolean("use_additional_conditions").value_or(c.sample_size == 128);
  check_options(config, c);
  return c;
}

std::unique_ptr<ImageTransformer> make_pixart(std::shared_ptr<const Component> component,
                                              const ModelOptions& options) {
  return std::make_unique<PixArt>(std::move(component), options);
}

}  // namespace stamp
