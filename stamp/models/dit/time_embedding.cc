#include "stamp/models/dit/time_embedding.h"

#include "stamp/models/dit/features.h"
#include "stamp/nn/activations.h"

namespace stamp {
namespace {

constexpr int64_t kFeatures = 256;

}  // namespace

TimeEmbedding::Mlp TimeEmbedding::load_mlp(const Component& component, const std::string& name,
                                           int64_t dim) {
  return {plain_linear(component, name + ".linear_1", dim, kFeatures),
          plain_linear(component, name + ".linear_2", dim, dim)};
}

Matrix TimeEmbedding::Mlp::forward(float value, ForwardContext& context) const {
  const std::vector<float> features = sinusoid_features(value);
  Matrix hidden = apply(first, {features.data(), 1, kFeatures, kFeatures}, context);
  silu(hidden.view());
  return apply(second, hidden.view(), context);
}

TimeEmbedding::TimeEmbedding(const Component& component, const std::string& prefix,
                             const ImageTransformerConfig& config)
    : time_(load_mlp(component, prefix + ".emb.timestep_embedder", config.dim())),
      modulation_(plain_linear(component, prefix + ".linear", 6 * config.dim(), config.dim())) {
  if (!config.size_conditions) return;
  for (const char* name : {".emb.resolution_embedder", ".emb.aspect_ratio_embedder"})
    sizes_.push_back(load_mlp(component, prefix + name, config.dim() / 3));
}

TimeEmbedding::Vectors TimeEmbedding::forward(double timestep, const ImageCondition& condition,
                                              ForwardContext& context) const {
  Matrix embedding = time_.forward(static_cast<float>(timestep), context);
  if (!sizes_.empty()) {
    const auto height = static_cast<float>(condition.height),
               width = static_cast<float>(condition.width);
    const Matrix parts[] = {sizes_[0].forward(height, context), sizes_[0].forward(width, context),
                            sizes_[1].forward(height / width, context)};
    float* out = embedding.data();
    for (const Matrix& part : parts)
      for (int64_t i = 0; i < part.cols(); ++i) *out++ += part(0, i);
  }
  Vectors result;
  result.embedding.assign(embedding.data(), embedding.data() + embedding.size());
  if (context.observer) context.observer->on_hidden("t_embedder", embedding.view());
  silu(embedding.view());
  const Matrix modulation = apply(modulation_, embedding.view(), context);
  if (context.observer) context.observer->on_hidden("modulation", modulation.view());
  result.modulation.assign(modulation.data(), modulation.data() + modulation.size());
  return result;
}

}  // namespace stamp
