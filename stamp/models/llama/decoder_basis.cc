// How feature transforms act on the decoder: which parts of a group's map its norm or the linear
// before it takes over, and the rotated residual stream of QuaRot (METHODS 3, 5).
#include <cmath>

#include "stamp/core/error.h"
#include "stamp/models/llama/decoder_layer.h"
#include "stamp/models/weights.h"
#include "stamp/nn/site_statistics.h"

namespace stamp {
namespace {

enum Group : size_t { kQkv, kO, kGateUp, kDown };
constexpr size_t kValue = 2, kUp = 1;  // among the weights of their groups

bool is_quantized(const Recipe& recipe, int64_t layer, const LinearGroup& group) {
  std::vector<std::string> names;
  for (const WeightRequest& request : group.weights)
    names.push_back(fmt::format("layers.{}.{}", layer, request.name));
  return (recipe.weights.bits < 16 || recipe.activations.bits < 16) && !excludes(recipe, names);
}

/// A norm multiplies by what follows it anyway.
void absorb_scale(GroupBasis& group, std::vector<float>& norm) {
  for (size_t j = 0; j < group.online.scale.size(); ++j) norm[j] *= group.online.scale[j];
  group.online.scale.clear();
}

/// silu(gate) * up is linear in up.
void absorb_scale_in_up(LayerBasis& basis) {
  if (basis.groups[kDown].online.scale.empty()) return;
  basis.groups[kGateUp].outputs.resize(2);
  basis.groups[kGateUp].outputs[kUp].scale = std::move(basis.groups[kDown].online.scale);
  basis.groups[kDown].online.scale.clear();
}

/// The linears behind a norm read the rotated stream divided by its length only.
void rotate_behind_norm(GroupBasis& group, std::vector<float>& norm, const FeatureMap& stream) {
  group.input.scale = stream.scale;
  for (size_t j = 0; j < norm.size(); ++j) group.input.scale[j] /= norm[j];
  group.input.hadamard = stream.hadamard;
  std::fill(norm.begin(), norm.end(), 1.0f);
}

/// The matrix of order `heads` that completes the rotation of each head, where one exists.
/// It mixes the heads of each of `parts` equal parts only.
Matrix across_heads(int64_t all_heads, int64_t parts) {
  const int64_t heads = all_heads / parts;
  if (heads == 1 || !has_hadamard(heads)) return {};
  const Matrix signs = hadamard_matrix(heads);
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(heads)));
  Matrix matrix = Matrix::zeros(all_heads, all_heads);
  for (int64_t i = 0; i < all_heads; ++i)
    for (int64_t j = 0; j < heads; ++j)
      matrix(i, i / heads * heads + j) = scale * signs(i % heads, j);
  return matrix;
}

void rotate_layer(LayerBasis& basis, const LlmConfig& config, const Recipe& recipe) {
  const int64_t parts = recipe.rotation_parts;
  const FeatureMap stream = stream_map(recipe, config.hidden_size);
  rotate_behind_norm(basis.groups[kQkv], basis.attention_norm, stream);
  rotate_behind_norm(basis.groups[kGateUp], basis.mlp_norm, stream);
  basis.groups[kO].outputs = basis.groups[kDown].outputs = {stream};

  // A head of V arrives rotated; what is left online is the rotation across heads.
  HadamardPlan head = plan_hadamard(config.head_dim);
  basis.groups[kQkv].outputs.resize(3);
  basis.value.hadamard = basis.groups[kQkv].outputs[kValue].hadamard = head;
  basis.groups[kO].input.left = basis.groups[kO].online.left = across_heads(config.heads, parts);
  const bool across = basis.groups[kO].input.left.size() > 0;
  head.description = fmt::format("each head: {}, across heads: {}", head.description,
                                 across ? fmt::format("H_{}", config.heads / parts) : "not");
  basis.groups[kO].input.hadamard = head;

  const HadamardPlan down = plan_hadamard(config.intermediate_size / parts);
  basis.groups[kDown].input.hadamard = basis.groups[kDown].online.hadamard = down;
}

/// Learned clipping of each weight of a group.
std::vector<std::vector<float>> row_clips(const std::string& site, const LinearGroup& group,
                                          const Calibration* calibration) {
  const std::vector<float>& all = statistics_of(site, calibration).weight_clip;
  int64_t rows = 0;
  for (const WeightRequest& weight : group.weights) rows += weight.out_dim;
  if (static_cast<int64_t>(all.size()) != 2 * rows)
    throw_runtime("{}: calibration clips {} ends of rows, expected {}", site, all.size(), 2 * rows);
  std::vector<std::vector<float>> clips;
  auto next = all.begin();
  for (const WeightRequest& weight : group.weights) {
    clips.emplace_back(next, next + 2 * weight.out_dim);
    next += 2 * weight.out_dim;
  }
  return clips;
}

/// FlatQuant: heads of V leave in a learned basis, which the input of o is mapped from; heads of K
/// are mapped behind RoPE, queries the other way.
void learned_heads(LayerBasis& basis, int64_t index, const LlmConfig& config,
                   const Calibration* calibration) {
  const auto of = [&](const char* part) -> const Matrix& {
    const std::string site = fmt::format("layers.{}.{}", index, part);
    const Matrix& matrix = statistics_of(site, calibration).right;
    if (matrix.rows() != config.head_dim)
      throw_runtime("{}: a learned matrix of {} features, expected {}", site, matrix.rows(),
                    config.head_dim);
    return matrix;
  };
  basis.groups[kQkv].outputs.resize(3);
  basis.groups[kQkv].outputs[kValue].right = basis.value.right = of("v");
  basis.groups[kO].online.right = {};
  basis.key.right = of("k");
  basis.query.right = inverse_transposed(basis.key.right);
}

}  // namespace

FeatureMap stream_map(const Recipe& recipe, int64_t hidden_size) {
  FeatureMap map;
  if (recipe.feature != "quarot") return map;
  map.scale = random_signs(hidden_size, static_cast<uint64_t>(recipe.seed));
  map.hadamard = plan_hadamard(hidden_size);
  return map;
}

LayerBasis decoder_basis(const ModelSource& source, int64_t index,
                         const std::vector<LinearGroup>& groups, const Recipe& recipe,
                         const Calibration* calibration) {
  const LlmConfig& config = source.config();
  const int64_t parts = recipe.rotation_parts;
  if (config.heads % parts != 0 || config.intermediate_size % parts != 0)
    throw_argument("recipe: rotation_parts: {} does not divide {} heads and {} channels of the MLP",
                   parts, config.heads, config.intermediate_size);
  const std::string prefix = fmt::format("model.layers.{}.", index);
  LayerBasis basis{.groups = {},
                   .attention_norm = checked_vector(source, prefix + "input_layernorm.weight",
                                                    config.hidden_size),
                   .mlp_norm = checked_vector(source, prefix + "post_attention_layernorm.weight",
                                              config.hidden_size)};
  for (const LinearGroup& group : groups) {
    GroupBasis& own = basis.groups.emplace_back();
    if (!is_quantized(recipe, index, group) && !recipe.changes_basis()) continue;
    const std::string site = fmt::format("layers.{}.{}", index, group.input);
    own.input = site_map(site, recipe, calibration, group.weights[0].in_dim, group.head_dim,
                         group.row_parallel ? parts : 1);
    if (recipe.needs_smoothing() && group.behind_norm && own.input.scale.empty())
      throw_runtime("{}: the calibration has no factors of this site", site);
    own.online = own.input;
    if (recipe.needs_learning()) own.clips = row_clips(site, group, calibration);
  }
  if (recipe.feature == "flatquant") learned_heads(basis, index, config, calibration);
  if (recipe.feature == "quarot") {
    rotate_layer(basis, config, recipe);
    return basis;
  }
  absorb_scale(basis.groups[kQkv], basis.attention_norm);
  absorb_scale(basis.groups[kGateUp], basis.mlp_norm);
  if (is_quantized(recipe, index, groups[kGateUp]) || recipe.changes_basis())
    absorb_scale_in_up(basis);
  return basis;
}

}  // namespace stamp
