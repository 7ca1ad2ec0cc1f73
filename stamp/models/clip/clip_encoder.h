#pragma once
// The blocks of both towers of CLIP: pre-norm self-attention and two linears, biases everywhere.
#include "stamp/models/clip/clip_config.h"
#include "stamp/models/component.h"

namespace stamp {

class ClipEncoder {
 public:
  /// Layers PREFIX.0, PREFIX.1, ... of `component`, which must outlive this. Throws
  /// std::runtime_error for missing tensors and wrong shapes.
  ClipEncoder(const Component& component, std::string prefix, const ClipTowerConfig& config);

  /// x [tokens, hidden_size] := the states behind the last layer; `causal`: tokens see themselves
  /// and those before. An observer gets the states behind layer PREFIX.i under that name.
  void forward(Matrix& x, bool causal, ForwardContext& context) const;

 private:
  struct Layer {
    ChannelAffine attention_norm, ff_norm;
    Linear qkv, out, up, down;
  };
  struct Workspace {
    Matrix input, q, k, v;
  };
  Layer load_layer(const Component& component, const std::string& name) const;
  void attend(const Layer& layer, bool causal, Matrix& x, Workspace& work,
              ForwardContext& context) const;
  void feed_forward(const Layer& layer, Matrix& x, Workspace& work, ForwardContext& context) const;

  std::string prefix_;
  ClipTowerConfig config_;
  std::vector<Layer> layers_;
};

}  // namespace stamp
