#include "stamp/models/vae/blocks.h"

#include <cmath>

#include "stamp/nn/full_attention.h"
#include "stamp/nn/row_loop.h"

namespace stamp::vae {

PixelMap norm_and_convolve(const PixelMap& x, int64_t groups, const ChannelAffine& norm,
                           const Convolution& convolution) {
  const ChannelAffine affine = group_norm(x, groups, norm, kNormEps);
  PixelMap out;
  convolution.forward({.map = x, .affine = &affine, .silu = true}, out);
  return out;
}

void observe(ForwardContext& context, const std::string& name, const PixelMap& x) {
  if (context.observer) context.observer->on_hidden(name, x.pixels.view());
}

Resnet::Resnet(const Component& component, const std::string& name, int64_t in, int64_t out,
               int64_t groups)
    : norm1_(component.affine(name + ".norm1", in)),
      norm2_(component.affine(name + ".norm2", out)),
      conv1_(component.convolution(name + ".conv1", {.out = out, .in = in, .size = 3}, kSame)),
      conv2_(component.convolution(name + ".conv2", {.out = out, .in = out, .size = 3}, kSame)),
      groups_(groups) {
  if (in != out)
    shortcut_ = component.convolution(name + ".conv_shortcut", {.out = out, .in = in}, {});
}

void Resnet::forward(PixelMap& x) const {
  const PixelMap hidden = norm_and_convolve(x, groups_, norm1_, conv1_);
  if (shortcut_) {
    PixelMap narrow;
    shortcut_->forward({x}, narrow);
    x = std::move(narrow);
  }
  const ChannelAffine affine = group_norm(hidden, groups_, norm2_, kNormEps);
  conv2_.forward({.map = hidden, .affine = &affine, .silu = true}, x, true);
}

namespace {

/// NAME.to_q and so on; files of older diffusers call them NAME.query.
Linear attention_linear(const Component& component, const std::string& name, int64_t channels,
                        std::initializer_list<std::pair<const char*, const char*>> parts) {
  std::vector<LinearWeight> weights;
  for (const auto& [current, old] : parts) {
    const bool is_current = component.has(name + "." + current + ".weight");
    weights.push_back(
        component.linear(name + "." + (is_current ? current : old), channels, channels));
  }
  return Linear(name, std::move(weights), Recipe{}, nullptr);
}

}  // namespace

PixelAttention::PixelAttention(const Component& component, const std::string& name,
                               int64_t channels, int64_t groups)
    : norm_(component.affine(name + ".group_norm", channels)),
      qkv_(attention_linear(component, name, channels,
                            {{"to_q", "query"}, {"to_k", "key"}, {"to_v", "value"}})),
      out_(attention_linear(component, name, channels, {{"to_out.0", "proj_attn"}})),
      groups_(groups) {}

void PixelAttention::forward(PixelMap& x, ForwardContext& context) const {
  const int64_t channels = x.channels();
  const ChannelAffine affine = group_norm(x, groups_, norm_, kNormEps);
  Matrix input(x.pixels.rows(), channels), q, k, v;
  for_each_row(input.rows(), channels, [&](int64_t i) {
    for (int64_t c = 0; c < channels; ++c)
      input(i, c) = x.pixels(i, c) * affine.weight[static_cast<size_t>(c)] +
                    affine.bias[static_cast<size_t>(c)];
  });
  Matrix* const qkv[] = {&q, &k, &v};
  qkv_.forward(input.view(), 0, qkv, context);
  full_attention(q.view(), k.view(), v.view(),
                 {.heads = 1,
                  .kv_heads = 1,
                  .head_dim = channels,
                  .scale = 1.0f / std::sqrt(static_cast<float>(channels))},
                 input.view());
  out_.forward_into(input.view(), 0, x.pixels.view(), true, context);
}

Middle::Middle(const Component& component, const std::string& name, int64_t channels,
               int64_t groups, bool with_attention)
    : first_(component, name + ".resnets.0", channels, channels, groups),
      second_(component, name + ".resnets.1", channels, channels, groups) {
  if (with_attention) attention_.emplace(component, name + ".attentions.0", channels, groups);
}

void Middle::forward(PixelMap& x, const std::string& name, ForwardContext& context) const {
  first_.forward(x);
  if (attention_) attention_->forward(x, context);
  observe(context, name + "_attn", x);
  second_.forward(x);
  observe(context, name + "_block", x);
}

}  // namespace stamp::vae
