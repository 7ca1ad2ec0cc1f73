#include "stamp/models/llama/decoder.h"

#include <algorithm>

#include "stamp/core/error.h"
#include "stamp/models/weights.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/matmul.h"

namespace stamp {

/// Activations of one forward pass, shared by all layers.
struct Decoder::Workspace {
  int64_t position = 0;
  RopeTable rope;
  Matrix x, normed, q, k, v, attended, gate, up, branch;
};

Decoder::Decoder(std::shared_ptr<const ModelSource> source, const ModelOptions& options,
                 DecoderBiases biases)
    : source_(std::move(source)), config_(source_->config()), recipe_(options.recipe) {
  const int64_t hidden = config_.hidden_size;
  const Shape table = {config_.vocab_size, hidden};
  embedding_ = checked_tensor(*source_, "model.embed_tokens.weight", table);
  lm_head_ =
      config_.tie_word_embeddings ? embedding_ : checked_tensor(*source_, "lm_head.weight", table);
  final_norm_ = checked_vector(*source_, "model.norm.weight", hidden);
  inverse_frequencies_ =
      rope_inverse_frequencies(config_.head_dim, config_.rope_theta, config_.rope_scaling);
  check_layers(recipe_, config_.layers);
  for (int64_t i = 0; i < config_.layers; ++i)
    layers_.push_back(load_layer(i, options.calibration, biases));
}

Decoder::Layer Decoder::load_layer(int64_t index, const Calibration* calibration,
                                   DecoderBiases biases) const {
  const LlmConfig& c = config_;
  const int64_t q_dim = c.heads * c.head_dim, kv_dim = c.kv_heads * c.head_dim;
  const Recipe recipe = recipe_for_layer(recipe_, index);
  const std::string name = fmt::format("layers.{}", index), prefix = "model." + name + ".";
  const auto linear = [&](const char* input, const std::vector<WeightRequest>& requests,
                          int64_t head_dim = 0) {
    const std::vector<LinearWeight> weights = layer_weights(*source_, index, requests);
    Linear result(name + "." + input, weights, recipe, calibration, head_dim);
    if (!recipe_.is_plain()) drop_pages(weights);
    return result;
  };
  return {
      .name = name,
      .attention_norm = checked_vector(*source_, prefix + "input_layernorm.weight", c.hidden_size),
      .mlp_norm =
          checked_vector(*source_, prefix + "post_attention_layernorm.weight", c.hidden_size),
      .qkv = linear("attn_in", {{"self_attn.q_proj", q_dim, c.hidden_size, biases.qkv},
                                {"self_attn.k_proj", kv_dim, c.hidden_size, biases.qkv},
                                {"self_attn.v_proj", kv_dim, c.hidden_size, biases.qkv}}),
      .o = linear("o_in", {{"self_attn.o_proj", c.hidden_size, q_dim, biases.o}}, c.head_dim),
      .gate_up =
          linear("mlp_in", {{"mlp.gate_proj", c.intermediate_size, c.hidden_size, biases.mlp},
                            {"mlp.up_proj", c.intermediate_size, c.hidden_size, biases.mlp}}),
      .down =
          linear("down_in", {{"mlp.down_proj", c.hidden_size, c.intermediate_size, biases.mlp}}),
      .kv = make_kv_quantizer(recipe, static_cast<int>(index), calibration),
      .k_rotation = plan_kv_rotation(recipe.k, c.head_dim),
      .v_rotation = plan_kv_rotation(recipe.v, c.head_dim),
  };
}

void Decoder::attention_block(const Layer& layer, LayerCache& cache, Workspace& work,
                              ForwardContext& context) const {
  rms_norm_rows(work.x.view(), layer.attention_norm, config_.rms_norm_eps, work.normed.view());
  Matrix* const qkv[] = {&work.q, &work.k, &work.v};
  layer.qkv.forward(work.normed.view(), work.position, qkv, context);
  apply_rope(work.q.view(), work.rope);
  apply_rope(work.k.view(), work.rope);
  rotate_heads(work.q.view(), config_.head_dim, layer.k_rotation);  // q k^T does not change
  rotate_heads(work.k.view(), config_.head_dim, layer.k_rotation);
  rotate_heads(work.v.view(), config_.head_dim, layer.v_rotation);
  if (context.observer) {
    context.observer->on_kv(layer.name + ".k", work.k.view(), work.position);
    context.observer->on_kv(layer.name + ".v", work.v.view(), work.position);
  }
  attention(work.q.view(), work.k.view(), work.v.view(), work.position,
            {config_.heads, config_.kv_heads, config_.head_dim}, layer.kv, cache,
            work.attended.view());
  rotate_heads(work.attended.view(), config_.head_dim, layer.v_rotation);  // its own inverse
  Matrix* const branch[] = {&work.branch};
  layer.o.forward(work.attended.view(), work.position, branch, context);
  add_rows(work.x.view(), work.branch.view());
}

void Decoder::mlp_block(const Layer& layer, Workspace& work, ForwardContext& context) const {
  rms_norm_rows(work.x.view(), layer.mlp_norm, config_.rms_norm_eps, work.normed.view());
  Matrix* const gate_up[] = {&work.gate, &work.up};
  layer.gate_up.forward(work.normed.view(), work.position, gate_up, context);
  silu_multiply(work.gate.view(), work.up.view());
  Matrix* const branch[] = {&work.branch};
  layer.down.forward(work.gate.view(), work.position, branch, context);
  add_rows(work.x.view(), work.branch.view());
}

Matrix Decoder::forward(std::span<const int32_t> ids, KvCache& cache,
                        ForwardContext& context) const {
  const int64_t tokens = static_cast<int64_t>(ids.size());
  if (tokens == 0) throw_argument("model: expected at least one token id, got none");
  if (tokens > cache.capacity() - cache.tokens())
    throw_argument("model: the KV cache holds {} of {} tokens, {} more do not fit", cache.tokens(),
                   cache.capacity(), tokens);
  const auto observe = [&](const std::string& name, const Matrix& x) {
    if (context.observer) context.observer->on_hidden(name, x.view());
  };
  Workspace work{.position = cache.tokens()};
  work.rope = make_rope_table(inverse_frequencies_, work.position, tokens);
  work.x.reshape(tokens, config_.hidden_size);
  work.normed.reshape(tokens, config_.hidden_size);
  work.attended.reshape(tokens, config_.heads * config_.head_dim);
  gather_rows(embedding_, ids, work.x.view());
  observe("embed", work.x);
  for (size_t i = 0; i < layers_.size(); ++i) {
    attention_block(layers_[i], cache.layer(static_cast<int64_t>(i)), work, context);
    mlp_block(layers_[i], work, context);
    observe(layers_[i].name, work.x);
  }
  cache.advance(tokens);
  rms_norm_rows(work.x.view(), final_norm_, config_.rms_norm_eps, work.x.view());
  observe("final_norm", work.x);
  return std::move(work.x);
}

void Decoder::logits(ConstFloatView hidden, FloatView out, ForwardContext& context) const {
  matmul_transposed(hidden, lm_head_, {}, out, context.compute == Compute::kBF16);
}

BitCount Decoder::activation_bits(int64_t tokens) const {
  BitCount bits;
  for (const Layer& layer : layers_)
    for (const Linear* linear : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
      bits.add(linear->count_bits(tokens));
  return bits;
}

BitCount Decoder::kv_bits(int64_t tokens) const {
  BitCount bits;
  for (const Layer& layer : layers_)
    bits.add(
        count_kv_bits(layer.kv, tokens, config_.kv_heads * config_.head_dim, config_.head_dim));
  return bits;
}

std::vector<std::string> Decoder::notes() const {
  std::vector<std::string> notes;
  const Layer& first = layers_.front();
  for (const Linear* linear : {&first.qkv, &first.o, &first.gate_up, &first.down}) {
    if (!linear->rotation()) continue;
    const std::string note =
        fmt::format("hadamard of {} inputs: {}", linear->in_dim(), linear->rotation()->description);
    if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
  }
  const auto note_rotation = [&](const char* part, HadamardPlan Layer::*rotation) {
    for (const Layer& layer : layers_)
      if ((layer.*rotation).order > 1)
        return notes.push_back(
            fmt::format("hadamard of each head of {}: {}", part, (layer.*rotation).description));
  };
  note_rotation("k", &Layer::k_rotation);
  note_rotation("v", &Layer::v_rotation);
  for (const Layer& layer : layers_)
    for (const Linear* linear : {&layer.qkv, &layer.o, &layer.gate_up, &layer.down})
      if (linear->excluded()) notes.push_back(linear->site() + " is excluded: not quantized");
  return notes;
}

}  // namespace stamp
