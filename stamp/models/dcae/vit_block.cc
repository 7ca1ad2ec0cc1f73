// The EfficientViT block: attention over several scales, then a gated convolution.
#include <algorithm>

#include "stamp/core/parallel.h"
#include "stamp/models/dcae/blocks.h"
#include "stamp/nn/activations.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/linear_attention.h"
#include "stamp/nn/row_loop.h"

namespace stamp::dcae {
namespace {

constexpr double kAttentionEps = 1e-15;
constexpr int64_t kExpansion = 4;  // of the gated convolution

/// Columns of `from` to columns [first, ...) of `to`.
void copy_columns(const Matrix& from, int64_t first, Matrix& to) {
  for_each_row(from.rows(), from.cols(),
               [&](int64_t i) { std::copy_n(from.row(i), from.cols(), to.row(i) + first); });
}

/// x += norm(to_out(attention)). The heads of a scale are consecutive runs of 3 head_dim channels
/// of [q | k | v]: the model was trained with that cut, so a head takes its q, k and v from
/// wherever they fall.
class MultiscaleAttention {
 public:
  MultiscaleAttention(const Component& component, const std::string& name,
                      const VitOptions& options)
      : head_dim_(options.head_dim),
        inner_(options.channels / options.head_dim * options.head_dim),
        qkv_(name,
             {component.linear(name + ".to_q", inner_, options.channels),
              component.linear(name + ".to_k", inner_, options.channels),
              component.linear(name + ".to_v", inner_, options.channels)},
             Recipe{}, nullptr),
        out_(plain_linear(component, name + ".to_out", options.channels,
                          inner_ * static_cast<int64_t>(1 + options.kernels.size()))),
        norm_(component.affine(name + ".norm_out", options.channels)) {
    const int64_t channels = 3 * inner_;
    for (size_t i = 0; i < options.kernels.size(); ++i) {
      const std::string scale = fmt::format("{}.to_qkv_multiscale.{}", name, i);
      const int64_t kernel = options.kernels[i];
      scales_.push_back(
          {component.convolution(
               scale + ".proj_in", {.out = channels, .in = channels, .size = kernel, .bias = false},
               {.groups = channels, .pad_before = kernel / 2, .pad_after = kernel / 2}),
           component.convolution(scale + ".proj_out",
                                 {.out = channels, .in = channels, .bias = false},
                                 {.groups = channels / head_dim_})});
    }
  }

  void forward(PixelMap& x, ForwardContext& context) const {
    const int64_t tokens = x.pixels.rows();
    PixelMap packed(x.height, x.width, 3 * inner_);
    Matrix q, k, v;
    Matrix* const qkv[] = {&q, &k, &v};
    qkv_.forward(x.pixels.view(), 0, qkv, context);
    for (int64_t i = 0; i < 3; ++i) copy_columns(*qkv[i], i * inner_, packed.pixels);
    Matrix mixed(tokens, inner_ * static_cast<int64_t>(1 + scales_.size()));
    for (size_t i = 0; i < scales_.size(); ++i) {
      PixelMap spread, scale;
      scales_[i].depthwise.forward({packed}, spread);
      scales_[i].grouped.forward({spread}, scale);
      attend(scale.pixels, mixed.view().cols_from(static_cast<int64_t>(i + 1) * inner_, inner_));
    }
    attend(packed.pixels, mixed.view().cols_from(0, inner_));
    PixelMap branch(x.height, x.width, x.channels());
    out_.forward_into(mixed.view(), 0, branch.pixels.view(), false, context);
    rms_norm_pixels(branch, norm_, kNormEps);
    add_rows(x.pixels.view(), branch.pixels.view());
  }

 private:
  struct Scale {
    Convolution depthwise, grouped;
  };

  void attend(Matrix& packed, FloatView out) const {
    parallel_for(inner_ / head_dim_, [&](int64_t head) {
      const auto part = [&](int64_t i) {
        return packed.view().cols_from((3 * head + i) * head_dim_, head_dim_);
      };
      relu(part(0));
      relu(part(1));
      linear_attention_head(part(0), part(1), part(2), kAttentionEps,
                            out.cols_from(head * head_dim_, head_dim_));
    });
  }

  int64_t head_dim_, inner_;
  Linear qkv_, out_;
  ChannelAffine norm_;
  std::vector<Scale> scales_;
};

/// x += norm(conv_point(value * silu(gate))), value and gate from a depthwise convolution.
class GatedConvolution {
 public:
  GatedConvolution(const Component& component, const std::string& name, int64_t channels)
      : hidden_(kExpansion * channels),
        inverted_(plain_linear(component, name + ".conv_inverted", 2 * hidden_, channels)),
        point_(plain_linear(component, name + ".conv_point", channels, hidden_)),
        depthwise_(component.convolution(name + ".conv_depth",
                                         {.out = 2 * hidden_, .in = 2 * hidden_, .size = 3},
                                         {.groups = 2 * hidden_, .pad_before = 1, .pad_after = 1})),
        norm_(component.affine(name + ".norm", channels)) {}

  void forward(PixelMap& x, ForwardContext& context) const {
    PixelMap wide, mixed;
    wide.height = x.height;
    wide.width = x.width;
    wide.pixels = apply(inverted_, x.pixels.view(), context);
    silu(wide.pixels.view());
    depthwise_.forward({wide}, mixed);
    const FloatView all = mixed.pixels.view(), gate = all.cols_from(hidden_, hidden_);
    silu_multiply(gate, all.cols_from(0, hidden_));
    PixelMap branch(x.height, x.width, x.channels());
    point_.forward_into(gate, 0, branch.pixels.view(), false, context);
    rms_norm_pixels(branch, norm_, kNormEps);
    add_rows(x.pixels.view(), branch.pixels.view());
  }

 private:
  int64_t hidden_;
  Linear inverted_, point_;
  Convolution depthwise_;
  ChannelAffine norm_;
};

class VitBlock : public Block {
 public:
  VitBlock(const Component& component, const std::string& name, const VitOptions& options)
      : attention_(component, name + ".attn", options),
        gated_(component, name + ".conv_out", options.channels) {}
  void forward(PixelMap& x, ForwardContext& context) const override {
    attention_.forward(x, context);
    gated_.forward(x, context);
  }

 private:
  MultiscaleAttention attention_;
  GatedConvolution gated_;
};

}  // namespace

std::unique_ptr<Block> make_vit_block(const Component& component, const std::string& name,
                                      const VitOptions& options) {
  return std::make_unique<VitBlock>(component, name, options);
}

}  // namespace stamp::dcae
