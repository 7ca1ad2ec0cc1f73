#pragma once
// Tensors of a model directory, checked against the shapes that the architecture expects.
#include <string>
#include <vector>

#include "stamp/models/model.h"

namespace stamp {

/// Tensor `name`; throws std::runtime_error when it is missing, not F32/F16/BF16, or not of this
/// shape.
const TensorView& checked_tensor(const ModelSource& source, const std::string& name,
                                 const Shape& shape);
/// The same for a vector, as fp32.
std::vector<float> checked_vector(const ModelSource& source, const std::string& name, int64_t size);

/// One weight of a linear: `name` + ".weight" under `prefix`, and ".bias" when `bias`.
struct WeightRequest {
  std::string name;  // "self_attn.q_proj"
  int64_t out_dim = 0, in_dim = 0;
  bool bias = false;
};
/// Linears of one layer that share an input.
struct LinearGroup {
  std::string input;  // "attn_in": the site is "layers.3.attn_in"
  std::vector<WeightRequest> weights;
  int64_t head_dim = 0;  // > 0 when the input is made of heads
  size_t branch = 0;     // of the layer: 0 attention, 1 MLP
  bool behind_norm = false;
  /// The input is what groups before it put out head by head or channel by channel: processes that
  /// share a layer hold parts of it.
  bool row_parallel = false;
};
/// The groups of every layer of a model of this architecture, in the order of its forward pass.
/// Throws as make_model() for an unknown one.
std::vector<LinearGroup> linear_groups(const LlmConfig& config);
/// True when quantized weights of this group are stored instead of plain ones.
bool stores_group(const Recipe& stored, int64_t layer, const LinearGroup& group);

/// Weights of layer `index` ("model.layers.3." in the file, "layers.3." in recipes and reports):
/// plain, and in codes where the directory stores them or `codes` (may be null) has them. `recipe`
/// is that of the layer: where it centers the input, a weight from a directory with codes comes
/// with the bias that has the centering merged in.
std::vector<LinearWeight> layer_weights(const ModelSource& source, int64_t index,
                                        const LinearGroup& group, const Recipe& recipe,
                                        const WeightCodes* codes = nullptr);
/// Lets codes, which must outlive the weight, stand for it.
void take_codes(const CalibratedWeight& codes, LinearWeight& weight);
/// The basis that a layer works in: of every group of linear_groups(), and the weights of its
/// norms with what they took over.
struct LayerBasis {
  std::vector<GroupBasis> groups;
  std::vector<float> attention_norm, mlp_norm;
  FeatureMap query, key, value;  // of heads: after RoPE, and as V leaves its linear
};
/// That of layer `index`, whose own recipe is `recipe`. Throws std::runtime_error when calibration
/// lacks what the recipe needs.
LayerBasis layer_basis(const ModelSource& source, int64_t index, const Recipe& recipe,
                       const Calibration* calibration);
/// The linear of one group under `options`.
Linear load_linear(const ModelSource& source, int64_t index, const LinearGroup& group,
                   const GroupBasis& basis, const ModelOptions& options);
/// The table "model.embed_tokens" or, when the embeddings are not tied, "lm_head", [vocab_size,
/// hidden_size], as stored or plain.
LinearWeight embedding_weight(const ModelSource& source);
LinearWeight lm_head_weight(const ModelSource& source);

}  // namespace stamp
