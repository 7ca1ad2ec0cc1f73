#pragma once
// One part of a pipeline directory (a text encoder, a transformer, an autoencoder): its config.json
// and its mapped weights.
#include <memory>
#include <optional>

#include "stamp/io/config_reader.h"
#include "stamp/io/safetensors.h"
#include "stamp/nn/convolution.h"
#include "stamp/nn/linear.h"
#include "stamp/nn/normalization.h"

namespace stamp {

class Component {
 public:
  /// Reads DIR/config.json and maps the weights DIR/STEM.safetensors (or its fp16 / bf16 variant,
  /// or shards). Throws std::runtime_error naming what is missing or broken.
  static std::shared_ptr<const Component> open(const std::filesystem::path& directory,
                                               const std::string& stem);
  const std::filesystem::path& directory() const { return directory_; }
  const Safetensors& weights() const { return weights_; }
  ConfigReader config() const {
    return ConfigReader(config_, (directory_ / "config.json").string());
  }
  bool has(const std::string& name) const { return weights_.contains(name); }

  /// Tensors, checked against the shape that the config implies; std::runtime_error otherwise.
  const TensorView& tensor(const std::string& name, const Shape& shape) const;
  std::vector<float> vector(const std::string& name, int64_t size) const;
  /// NAME.weight and NAME.bias.
  ChannelAffine affine(const std::string& name, int64_t size) const;
  /// NAME.weight [out_dim, in_dim], or the same as a 1x1 convolution, and NAME.bias where the file
  /// has it.
  LinearWeight linear(const std::string& name, int64_t out_dim, int64_t in_dim) const;
  struct Kernel {
    int64_t out = 0, in = 0, size = 1;  // size x size pixels
    bool bias = true;
  };
  /// NAME.weight [out, in / groups, size, size].
  Convolution convolution(const std::string& name, const Kernel& kernel,
                          const ConvolutionOptions& options) const;

 private:
  std::filesystem::path directory_;
  Json config_;
  Safetensors weights_;
};

/// A linear of its own that no recipe quantizes: NAME.weight [out_dim, in_dim].
Linear plain_linear(const Component& component, const std::string& name, int64_t out_dim,
                    int64_t in_dim);
/// y = linear(x) for a linear with one weight.
Matrix apply(const Linear& linear, ConstFloatView x, ForwardContext& context);
/// Throws std::runtime_error naming the first tensor that holds NaN or infinities, if any.
void check_finite_weights(const Component& component);

}  // namespace stamp
