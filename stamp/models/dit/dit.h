#pragma once
// The transformer that PixArt and SANA share, with adaLN-single modulation:
//   x += gate_a attn1(norm(x) (1 + scale_a) + shift_a);  x += attn2(x, caption);
//   x += gate_f ff(norm(x) (1 + scale_f) + shift_f)
// The families differ in attn1 and ff, which they add as classes of their own.
#include "stamp/models/dit/time_embedding.h"
#include "stamp/nn/attention.h"

namespace stamp {

inline constexpr int64_t kMaxDitSize = 1 << 16;  // of any side of a tensor
/// The sizes that both families name alike; keys that are absent keep what `defaults` says.
ImageTransformerConfig read_dit_sizes(const ConfigReader& config, ImageTransformerConfig defaults);

/// Names that differ between the families.
struct DitNames {
  std::string patch_embed, time_embed;
};

/// Activations of one forward pass, shared by all layers.
struct DitWorkspace {
  int64_t height = 0, width = 0;  // of the grid of tokens
  Matrix x;                       // the residual stream [tokens, dim]
  Matrix input, branch;           // of a sub-layer
  Matrix q, k, v, hidden;
};

class Dit : public ImageTransformer {
 public:
  Dit(std::shared_ptr<const Component> component, ImageTransformerConfig config, DitNames names,
      const ModelOptions& options);

  const ImageTransformerConfig& config() const override { return config_; }
  const Recipe& recipe() const override { return recipe_; }
  ImageCondition condition(ConstFloatView text, std::span<const uint8_t> mask,
                           ForwardContext& context) const override;
  PixelMap forward(const PixelMap& latent, double timestep, const ImageCondition& condition,
                   ForwardContext& context) const override;
  BitCount activation_bits(int64_t height, int64_t width) const override;
  std::vector<const Linear*> quantizable() const override;
  bool simulated() const override;
  int64_t weight_bytes() const override;
  std::vector<std::string> notes() const override;

 protected:
  /// Loads linears of one layer under their names in the file ("transformer_blocks.3.ff.net.2"),
  /// known to recipes as "blocks.3.ff.net.2"; `input` names their shared input ("ff_down_in").
  class LayerLoader;
  /// work.branch := attn1(work.input) up to its output linear, and ff(work.input).
  virtual void self_attention(size_t layer, DitWorkspace& work, ForwardContext& context) const = 0;
  virtual void feed_forward(size_t layer, DitWorkspace& work, ForwardContext& context) const = 0;
  /// Calls body(linear) for every linear of the family's own that a recipe may quantize.
  virtual std::vector<const Linear*> own_linears() const = 0;

  std::shared_ptr<const Component> component_;
  ImageTransformerConfig config_;
  Recipe recipe_;

 private:
  struct CrossAttention {
    Linear q, out, kv;
    std::vector<float> norm_q, norm_k;
  };
  struct Layer {
    Matrix table;  // [6, dim], added to the time's modulation
    CrossAttention attention;
  };
  void embed(const PixelMap& latent, DitWorkspace& work, ForwardContext& context) const;
  void cross_attention(const CrossAttention& attention, const ImageCondition& condition,
                       DitWorkspace& work, ForwardContext& context) const;
  void run_layer(size_t index, const std::vector<float>& modulation,
                 const ImageCondition& condition, DitWorkspace& work,
                 ForwardContext& context) const;
  PixelMap finish(const std::vector<float>& embedding, DitWorkspace& work,
                  ForwardContext& context) const;

  TimeEmbedding time_;
  Linear patch_embed_, caption_first_, caption_second_, proj_out_;
  std::vector<float> caption_norm_;  // empty: none
  Matrix final_table_;               // [2, dim]
  std::vector<Layer> layers_;
};

class Dit::LayerLoader {
 public:
  LayerLoader(const Component& component, const ModelOptions& options, int64_t layer);
  struct Request {
    std::string name;
    int64_t out_dim = 0, in_dim = 0;
  };
  /// Biases are loaded where the file has them; 1x1 convolutions are linears.
  Linear linear(const std::string& input, const std::vector<Request>& requests,
                int64_t head_dim = 0) const;
  /// The same without any recipe.
  Linear plain(const std::vector<Request>& requests) const;
  std::string prefix() const { return file_prefix_; }

 private:
  std::vector<LinearWeight> weights(const std::vector<Request>& requests) const;

  const Component& component_;
  const ModelOptions& options_;
  Recipe recipe_;
  std::string file_prefix_, name_;
};

/// RMS norm over whole rows where there are weights (eps 1e-5).
void norm_rows_if(const std::vector<float>& weight, Matrix& x);

}  // namespace stamp
