#include "stamp/models/sana/sana.h"

#include "stamp/models/dit/dit.h"
#include "stamp/nn/activations.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/linear_attention.h"

namespace stamp {
namespace {

constexpr double kAttentionEps = 1e-15;

class Sana : public Dit {
 public:
  Sana(std::shared_ptr<const Component> component, const ModelOptions& options)
      : Dit(component, read_sana_config(component->config()), {"patch_embed.proj", "time_embed"},
            options) {
    const int64_t dim = config_.dim(), ff = config_.ff_size;
    for (int64_t i = 0; i < config_.layers; ++i) {
      const LayerLoader loader(*component_, options, i);
      const auto norm = [&](const char* name) {
        return config_.qk_norm ? component_->vector(loader.prefix() + name, dim)
                               : std::vector<float>{};
      };
      layers_.push_back(
          {loader.linear(
               "attn1_in",
               {{"attn1.to_q", dim, dim}, {"attn1.to_k", dim, dim}, {"attn1.to_v", dim, dim}}),
           loader.linear("attn1_out_in", {{"attn1.to_out.0", dim, dim}}, config_.head_dim),
           loader.linear("ff_in", {{"ff.conv_inverted", 2 * ff, dim}}),
           loader.linear("ff_down_in", {{"ff.conv_point", dim, ff}}),
           component_->convolution(loader.prefix() + "ff.conv_depth",
                                   {.out = 2 * ff, .in = 2 * ff, .size = 3},
                                   {.groups = 2 * ff, .pad_before = 1, .pad_after = 1}),
           norm("attn1.norm_q.weight"), norm("attn1.norm_k.weight")});
    }
  }

 protected:
  void self_attention(size_t index, DitWorkspace& work, ForwardContext& context) const override {
    const Layer& layer = layers_[index];
    Matrix* const qkv[] = {&work.q, &work.k, &work.v};
    layer.qkv.forward(work.input.view(), 0, qkv, context);
    norm_rows_if(layer.norm_q, work.q);
    norm_rows_if(layer.norm_k, work.k);
    {
      const PhaseScope scope(context.phases, Phase::kAttention);
      relu_linear_attention(work.q.view(), work.k.view(), work.v.view(), config_.head_dim,
                            kAttentionEps, work.input.view());
    }
    work.branch.reshape(work.x.rows(), work.x.cols());
    layer.out.forward_into(work.input.view(), 0, work.branch.view(), false, context);
  }

  void feed_forward(size_t index, DitWorkspace& work, ForwardContext& context) const override {
    const Layer& layer = layers_[index];
    const int64_t ff = config_.ff_size;
    PixelMap hidden, mixed;
    hidden.height = work.height;
    hidden.width = work.width;
    Matrix* const inverted[] = {&hidden.pixels};
    layer.up.forward(work.input.view(), 0, inverted, context);
    silu(hidden.pixels.view());
    layer.depthwise.forward({hidden}, mixed);
    // The first half is the value, the second the gate.
    const FloatView all = mixed.pixels.view(), gate = all.cols_from(ff, ff);
    silu_multiply(gate, all.cols_from(0, ff));
    work.branch.reshape(work.x.rows(), work.x.cols());
    layer.down.forward_into(gate, 0, work.branch.view(), false, context);
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
    Convolution depthwise;
    std::vector<float> norm_q, norm_k;
  };
  std::vector<Layer> layers_;
};

}  // namespace

ImageTransformerConfig read_sana_config(const ConfigReader& config) {
  ImageTransformerConfig c = read_dit_sizes(config, {.layers = 20,
                                                     .heads = 70,
                                                     .head_dim = 32,
                                                     .in_channels = 32,
                                                     .patch_size = 1,
                                                     .sample_size = 32,
                                                     .caption_channels = 2304});
  c.cross_heads = config.integer("num_cross_attention_heads", 1, kMaxDitSize).value_or(20);
  c.cross_head_dim = config.integer("cross_attention_head_dim", 1, kMaxDitSize).value_or(112);
  const double ratio = config.number("mlp_ratio", 0.01, 100).value_or(2.5);
  c.ff_size = static_cast<int64_t>(ratio * static_cast<double>(c.dim()));
  if (c.ff_size < 1) config.reject("mlp_ratio", fmt::format("expected at least 1 / {}", c.dim()));
  c.timestep_scale = config.number("timestep_scale", 1e-6, 1e6).value_or(1.0);
  c.position_scale = config.number("interpolation_scale", 1e-6, 1e6).value_or(0.0);
  const std::string norm = config.text("qk_norm").value_or("");
  c.qk_norm = norm == "rms_norm_across_heads";
  if (!norm.empty() && !c.qk_norm)
    config.reject("qk_norm", "supported are null and \"rms_norm_across_heads\"");
  if (config.boolean("guidance_embeds").value_or(false))
    config.reject("guidance_embeds", "supported is false");
  if (c.position_scale > 0 && c.dim() % 4 != 0)
    config.reject("interpolation_scale", "expected a width that is a multiple of 4");
  return c;
}

std::unique_ptr<ImageTransformer> make_sana(std::shared_ptr<const Component> component,
                                            const ModelOptions& options) {
  return std::make_unique<Sana>(std::move(component), options);
}

}  // namespace stamp
