#pragma once
// The pre-norm decoder with rotary positions, grouped-query attention and a gated MLP:
//   x += o(attention(rope(qkv(norm(x)))));  x += down(silu(gate(norm(x))) * up(norm(x)))
#include "stamp/models/weights.h"
#include "stamp/nn/attention.h"
#include "stamp/nn/embedding.h"
#include "stamp/nn/rope.h"

namespace stamp {

/// Which linears have a bias: the only difference between the families that share this decoder.
struct DecoderBiases {
  bool qkv = false, o = false, mlp = false;
};

/// attn_in (q, k, v), o_in, mlp_in (gate, up), down_in.
std::vector<LinearGroup> decoder_groups(const LlmConfig& config, DecoderBiases biases);

class Decoder : public Model {
 public:
  /// Throws std::runtime_error for missing tensors and wrong shapes or types.
  Decoder(std::shared_ptr<const ModelSource> source, const ModelOptions& options,
          DecoderBiases biases);

  const LlmConfig& config() const override { return config_; }
  const Recipe& recipe() const override { return recipe_; }
  Matrix forward(std::span<const int32_t> ids, KvCache& cache,
                 ForwardContext& context) const override;
  void logits(ConstFloatView hidden, FloatView out, ForwardContext& context) const override;
  BitCount activation_bits(int64_t tokens) const override;
  BitCount kv_bits(int64_t tokens) const override;
  bool simulated() const override;
  int64_t weight_bytes() const override;
  std::vector<std::string> notes() const override;

 private:
  struct Layer {
    std::string name;  // "layers.0"
    std::vector<float> attention_norm, mlp_norm;
    Linear qkv, o, gate_up, down;
    KvQuantizer kv;
    HadamardPlan k_rotation, v_rotation;
  };
  struct Workspace;

  Layer load_layer(int64_t index, const ModelOptions& options, DecoderBiases biases) const;
  /// Calls body(linear) for every quantized linear.
  template <class Body>
  void for_each_linear(Body&& body) const {
    for (const Layer& layer : layers_)
      for (const Linear* linear : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
        body(*linear);
  }
  void norm_into(Matrix& out, Workspace& work, const std::vector<float>& weight,
                 ForwardContext& context) const;
  void attention_block(const Layer& layer, LayerCache& cache, Workspace& work,
                       ForwardContext& context) const;
  void mlp_block(const Layer& layer, Workspace& work, ForwardContext& context) const;

  std::shared_ptr<const ModelSource> source_;
  LlmConfig config_;
  Recipe recipe_;
  Embedding embedding_;
  std::optional<Linear> lm_head_;
  std::vector<float> inverse_frequencies_, final_norm_;
  std::vector<Layer> layers_;
};

}  // namespace stamp
