#pragma once
// Two-dimensional convolutions over pixel maps, through oneDNN in fp32.
#include <optional>
#include <string>
#include <vector>

#include "stamp/nn/normalization.h"

namespace stamp {

struct ConvolutionOptions {
  int64_t stride = 1;
  int64_t groups = 1;
  int64_t pad_before = 0;  // zeros above and to the left
  int64_t pad_after = 0;   // below and to the right
};

/// A map and what happens to it on its way into the products, strip by strip, so that no second map
/// is ever whole in memory.
struct ConvolutionInput {
  const PixelMap& map;
  const ChannelAffine* affine = nullptr;  // first x := x * weight + bias
  bool silu = false;                      // then silu
  int64_t upsample = 1;                   // then every pixel this often in either direction

  bool is_plain() const { return affine == nullptr && !silu && upsample == 1; }
  int64_t height() const { return map.height * upsample; }
  int64_t width() const { return map.width * upsample; }
};

class Convolution {
 public:
  Convolution() = default;
  /// weight [out, in / groups, height, width] and bias [out], F32 / F16 / BF16, are read where they
  /// are and must outlive this. Throws std::invalid_argument naming `name` when shapes do not fit.
  Convolution(std::string name, TensorView weight, std::optional<TensorView> bias,
              const ConvolutionOptions& options);

  /// out := the convolution, reshaped; with `add` out += it. No aliasing. Throws
  /// std::invalid_argument when x has other channels or is smaller than the kernel, or when `out`
  /// has another shape than what is to be added.
  void forward(const ConvolutionInput& x, PixelMap& out, bool add = false) const;
  int64_t in_channels() const { return weight_.shape[1] * options_.groups; }
  int64_t out_channels() const { return weight_.shape[0]; }

 private:
  class Product;
  void check_input(const ConvolutionInput& x, const PixelMap& out, bool add) const;
  void run_strips(const ConvolutionInput& x, PixelMap& out, bool add) const;
  int64_t out_size(int64_t size, int64_t kernel) const;

  std::string name_;
  TensorView weight_;
  std::vector<float> bias_;
  ConvolutionOptions options_;
};

}  // namespace stamp
