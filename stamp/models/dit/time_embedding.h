#pragma once
// The time of a denoising step, as vectors that modulate the layers (adaLN-single, PixArt-alpha,
// arXiv 2310.00426).
#include "stamp/models/image_transformer.h"

namespace stamp {

class TimeEmbedding {
 public:
  /// PREFIX.emb.timestep_embedder.linear_{1,2}, PREFIX.linear and, with size_conditions,
  /// PREFIX.emb.{resolution,aspect_ratio}_embedder.
  TimeEmbedding(const Component& component, const std::string& prefix,
                const ImageTransformerConfig& config);

  struct Vectors {
    std::vector<float> embedding;   // [dim]
    std::vector<float> modulation;  // [6 * dim]
  };
  Vectors forward(double timestep, const ImageCondition& condition, ForwardContext& context) const;

 private:
  struct Mlp {
    Linear first, second;
    Matrix forward(float value, ForwardContext& context) const;
  };
  static Mlp load_mlp(const Component& component, const std::string& name, int64_t dim);

  Mlp time_;
  Linear modulation_;
  std::vector<Mlp> sizes_;  // none, or those of the resolution and of the aspect ratio
};

}  // namespace stamp
