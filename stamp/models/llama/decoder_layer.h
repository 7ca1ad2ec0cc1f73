#pragma once
// One layer of the decoder: x += o(attention(rope(qkv(norm(x))))); x += down(silu(gate(norm(x))) *
// up(norm(x))).
#include "stamp/models/weights.h"
#include "stamp/nn/attention.h"
#include "stamp/nn/rope.h"

namespace stamp {

/// Which linears have a bias: the only difference between the families that share this decoder.
struct DecoderBiases {
  bool qkv = false, o = false, mlp = false;
};

/// attn_in (q, k, v), o_in, mlp_in (gate, up), down_in.
std::vector<LinearGroup> decoder_groups(const LlmConfig& config, DecoderBiases biases);

/// The rotation R1 of the residual stream (QuaRot); empty: none.
FeatureMap stream_map(const Recipe& recipe, int64_t hidden_size);
/// The basis of layer `index` under its recipe. Throws std::runtime_error as site_map().
LayerBasis decoder_basis(const ModelSource& source, int64_t index,
                         const std::vector<LinearGroup>& groups, const Recipe& recipe,
                         const Calibration* calibration);

/// Activations of one forward pass, shared by all layers.
struct DecoderWorkspace {
  TokenRows rows = 0;  // whose tokens x holds
  RopeTable rope;
  Matrix x;      // the residual stream
  Matrix input;  // of the next linear
  Matrix q, k, v, gated;
};

class DecoderLayer {
 public:
  /// Throws std::runtime_error for missing tensors and wrong shapes or types.
  DecoderLayer(const ModelSource& source, int64_t index, const ModelOptions& options,
               DecoderBiases biases);

  /// work.x += its attention or MLP branch. `caches`: of the sequences of work.rows.
  void attend(std::span<LayerCache* const> caches, DecoderWorkspace& work,
              ForwardContext& context) const;
  void feed_forward(DecoderWorkspace& work, ForwardContext& context) const;
  /// Loads the linears of group `index` of decoder_groups() anew.
  void load_group(const ModelSource& source, size_t index, const ModelOptions& options);

  const std::string& name() const { return name_; }  // "layers.0"
  const std::vector<Linear>& linears() const { return linears_; }
  const KvQuantizer& kv() const { return kv_; }
  const HadamardPlan& k_rotation() const { return k_rotation_; }
  const HadamardPlan& v_rotation() const { return v_rotation_; }

 private:
  enum Group : size_t { kQkv, kO, kGateUp, kDown };
  void norm(const std::vector<float>& weight, DecoderWorkspace& work,
            ForwardContext& context) const;

  int64_t index_;
  std::string name_;
  LlmConfig config_;
  std::vector<LinearGroup> groups_;
  LayerBasis basis_;
  std::vector<Linear> linears_;  // of each group
  KvQuantizer kv_;
  HadamardPlan k_rotation_, v_rotation_;
};

}  // namespace stamp
