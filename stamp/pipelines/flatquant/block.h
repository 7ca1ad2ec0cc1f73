#pragma once
// A decoder block with learned transforms and learned clipping, and the gradient of its parameters
// (METHODS 7).
#include <array>

#include "stamp/io/hf_config.h"
#include "stamp/nn/rope.h"
#include "stamp/pipelines/flatquant/ops.h"
#include "stamp/quant/recipe.h"

namespace stamp::flatquant {

enum Site : size_t { kAttentionInput, kOutputInput, kMlpInput, kDownInput, kKey, kValue, kSites };
enum Weight : size_t { kQ, kK, kV, kO, kGate, kUp, kDown, kWeights };

/// The block as loaded.
struct BlockWeights {
  std::array<Matrix, kWeights> weight;
  std::array<std::vector<float>, kWeights> bias;  // zeros where the model has none
  std::vector<float> attention_norm, mlp_norm;
};

/// What is learned. Maps: of linear inputs (the attention's output: `left` across heads, its
/// `right` is that of kValue); of each head of K and V: `right`.
struct BlockParameters {
  std::array<FeatureMap, kSites> map;
  std::array<ClipLogits, kSites> clip;           // one pair each
  std::array<ClipLogits, kWeights> weight_clip;  // low and high of every output row

  /// Transforms and factors; clipping logits: they learn at different rates.
  std::vector<std::span<float>> transforms();
  std::vector<std::span<float>> clips();
  BlockParameters zeros() const;
};

struct BlockSpec {
  LlmConfig config;
  std::array<QuantSpec, kSites> quant;  // of the sites
  QuantSpec weights;
};
BlockSpec block_spec(const LlmConfig& config, const Recipe& recipe);

/// The weights in their learned basis, rounded: made once for all windows of a step.
class QuantizedBlock {
 public:
  QuantizedBlock(const BlockSpec& spec, const BlockWeights& weights,
                 const BlockParameters& parameters);
  ~QuantizedBlock();

  /// Everything between the block's input and its output for one window.
  struct Pass;
  /// Output for x [tokens, hidden], tokens from position 0.
  Matrix forward(ConstFloatView x, const RopeTable& rope, Pass& pass) const;
  /// Adds dL/d parameters of one window, weights left for finish().
  void backward(const RopeTable& rope, const Pass& pass, const Matrix& gradient,
                BlockParameters& sum);
  /// Carries what windows left at the weights on to the parameters.
  void finish(BlockParameters& sum);

 private:
  struct Linear;
  Matrix linear_backward(Weight index, const Rounded& input, const Matrix& gradient);

  const BlockSpec& spec_;
  const BlockWeights& weights_;
  const BlockParameters& parameters_;
  std::vector<Linear> linears_;
  std::array<FeatureMap, kSites> inverse_, inverse_gradient_;
  FeatureMap q_map_, q_gradient_;
};

struct QuantizedBlock::Pass {
  Matrix norm1, q, k, v, mid, norm2, gate, up,
      gated;                // q, k, v: as attention reads them, unrounded
  Matrix q_plain, k_plain;  // after RoPE
  Mapped in_map, q_map, k_map, o_map, mlp_map, down_map;
  Rounded in, key, value, o, mlp, down;
  Attended attended;
};

}  // namespace stamp::flatquant
