#include "stamp/models/clip/clip_encoder.h"

#include <cmath>

#include "stamp/nn/activations.h"
#include "stamp/nn/full_attention.h"
#include "stamp/nn/normalization.h"

namespace stamp {

ClipEncoder::ClipEncoder(const Component& component, std::string prefix,
                         const ClipTowerConfig& config)
    : prefix_(std::move(prefix)), config_(config) {
  for (int64_t i = 0; i < config_.layers; ++i)
    layers_.push_back(load_layer(component, fmt::format("{}.{}", prefix_, i)));
}

ClipEncoder::Layer ClipEncoder::load_layer(const Component& component,
                                           const std::string& name) const {
  const int64_t hidden = config_.hidden_size;
  const std::string attention = name + ".self_attn.";
  std::vector<LinearWeight> qkv;
  for (const char* part : {"q_proj", "k_proj", "v_proj"})
    qkv.push_back(component.linear(attention + part, hidden, hidden));
  return {.attention_norm = component.affine(name + ".layer_norm1", hidden),
          .ff_norm = component.affine(name + ".layer_norm2", hidden),
          .qkv = Linear(attention + "qkv", std::move(qkv), Recipe{}, nullptr),
          .out = plain_linear(component, attention + "out_proj", hidden, hidden),
          .up = plain_linear(component, name + ".mlp.fc1", config_.ff_size, hidden),
          .down = plain_linear(component, name + ".mlp.fc2", hidden, config_.ff_size)};
}

void ClipEncoder::forward(Matrix& x, bool causal, ForwardContext& context) const {
  Workspace work;
  for (size_t i = 0; i < layers_.size(); ++i) {
    attend(layers_[i], causal, x, work, context);
    feed_forward(layers_[i], x, work, context);
    if (context.observer) context.observer->on_hidden(fmt::format("{}.{}", prefix_, i), x.view());
  }
}

void ClipEncoder::attend(const Layer& layer, bool causal, Matrix& x, Workspace& work,
                         ForwardContext& context) const {
  work.input.reshape(x.rows(), x.cols());
  layer_norm_rows(x.view(), layer.attention_norm, config_.eps, work.input.view());
  Matrix* const qkv[] = {&work.q, &work.k, &work.v};
  layer.qkv.forward(work.input.view(), 0, qkv, context);
  const int64_t head_dim = config_.hidden_size / config_.heads;
  full_attention(work.q.view(), work.k.view(), work.v.view(),
                 {.heads = config_.heads,
                  .kv_heads = config_.heads,
                  .head_dim = head_dim,
                  .scale = 1.0f / std::sqrt(static_cast<float>(head_dim)),
                  .causal = causal},
                 work.input.view());
  layer.out.forward_into(work.input.view(), 0, x.view(), true, context);
}

void ClipEncoder::feed_forward(const Layer& layer, Matrix& x, Workspace& work,
                               ForwardContext& context) const {
  work.input.reshape(x.rows(), x.cols());
  layer_norm_rows(x.view(), layer.ff_norm, config_.eps, work.input.view());
  work.q.reshape(x.rows(), config_.ff_size);
  layer.up.forward_into(work.input.view(), 0, work.q.view(), false, context);
  if (config_.activation == ClipActivation::kGelu)
    exact_gelu(work.q.view());
  else
    quick_gelu(work.q.view());
  layer.down.forward_into(work.q.view(), 0, x.view(), true, context);
}

}  // namespace stamp
