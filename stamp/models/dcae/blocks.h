#pragma once
// What encoder and decoder of AutoencoderDC are made of.
#include "stamp/models/component.h"

namespace stamp::dcae {

inline constexpr double kNormEps = 1e-5;

/// A 3x3 convolution that keeps the size.
Convolution convolution3(const Component& component, const std::string& name, int64_t out,
                         int64_t in, bool bias = true, int64_t stride = 1);
/// Channel c of the result is the mean of the c-th run of `run` channels.
PixelMap mean_of_runs(const PixelMap& x, int64_t run);
/// Every channel `times` in a row.
PixelMap repeat_channels(const PixelMap& x, int64_t times);
/// [h, w, 4 C] to [2 h, 2 w, C], input channel 4 c + 2 dy + dx; and back.
PixelMap pixel_shuffle(const PixelMap& x);
PixelMap pixel_unshuffle(const PixelMap& x);

/// One layer of a stage, applied in place.
class Block {
 public:
  virtual ~Block() = default;
  virtual void forward(PixelMap& x, ForwardContext& context) const = 0;
};

/// x += norm(conv2(silu(conv1(x)))).
std::unique_ptr<Block> make_res_block(const Component& component, const std::string& name,
                                      int64_t channels);
/// Multi-scale linear attention, then a gated depthwise convolution (EfficientViT).
struct VitOptions {
  int64_t channels = 0, head_dim = 32;
  std::vector<int64_t> kernels;  // of further scales
};
std::unique_ptr<Block> make_vit_block(const Component& component, const std::string& name,
                                      const VitOptions& options);
/// To half or double the resolution, with a shortcut that averages or repeats channels. `shuffled`:
/// the convolution works at the lower resolution.
std::unique_ptr<Block> make_down_block(const Component& component, const std::string& name,
                                       int64_t in, int64_t out, bool shuffled);
std::unique_ptr<Block> make_up_block(const Component& component, const std::string& name,
                                     int64_t in, int64_t out, bool shuffled);

}  // namespace stamp::dcae
