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
  Matrix x;      // the residual stream
  Matrix input;  // of the next linear
  Matrix q, k, v, gated;
};

std::vector<LinearGroup> decoder_groups(const LlmConfig& config, DecoderBiases biases) {
  const int64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  const int64_t q_dim = config.heads * config.head_dim, kv_dim = config.kv_heads * config.head_dim;
  return {{"attn_in",
           {{"self_attn.q_proj", q_dim, hidden, biases.qkv},
            {"self_attn.k_proj", kv_dim, hidden, biases.qkv},
            {"self_attn.v_proj", kv_dim, hidden, biases.qkv}}},
          {"o_in", {{"self_attn.o_proj", hidden, q_dim, biases.o}}, config.head_dim},
          {"mlp_in",
           {{"mlp.gate_proj", intermediate, hidden, biases.mlp},
            {"mlp.up_proj", intermediate, hidden, biases.mlp}}},
          {"down_in", {{"mlp.down_proj", hidden, intermediate, biases.mlp}}}};
}

Decoder::Decoder(std::shared_ptr<const ModelSource> source, const ModelOptions& options,
                 DecoderBiases biases)
    : source_(std::move(source)), config_(source_->config()), recipe_(options.recipe) {
  const int64_t hidden = config_.hidden_size;
  const LinearWeight embedding = embedding_weight(*source_);
  embedding_ = embedding.stored ? Embedding(*embedding.stored)
                                : Embedding(embedding.weight, recipe_.embedding_bits);
  Recipe head;
  head.weights = recipe_.lm_head;
  lm_head_.emplace("lm_head", std::vector<LinearWeight>{lm_head_weight(*source_)}, head, nullptr, 0,
                   options.execution);
  final_norm_ = checked_vector(*source_, "model.norm.weight", hidden);
  inverse_frequencies_ =
      rope_inverse_frequencies(config_.head_dim, config_.rope_theta, config_.rope_scaling);
  check_layers(recipe_, config_.layers);
  for (int64_t i = 0; i < config_.layers; ++i) layers_.push_back(load_layer(i, options, biases));
}

Decoder::Layer Decoder::load_layer(int64_t index, const ModelOptions& options,
                                   DecoderBiases biases) const {
  const LlmConfig& c = config_;
  const Recipe recipe = recipe_for_layer(recipe_, index);
  const std::string name = fmt::format("layers.{}", index), prefix = "model." + name + ".";
  const std::vector<LinearGroup> groups = decoder_groups(c, biases);
  const auto linear = [&](const LinearGroup& group) {
    return Linear(name + "." + group.input, layer_weights(*source_, index, group, recipe), recipe,
                  options.calibration, group.head_dim, options.execution);
  };
  return {
      .name = name,
      .attention_norm = checked_vector(*source_, prefix + "input_layernorm.weight", c.hidden_size),
      .mlp_norm =
          checked_vector(*source_, prefix + "post_attention_layernorm.weight", c.hidden_size),
      .qkv = linear(groups[0]),
      .o = linear(groups[1]),
      .gate_up = linear(groups[2]),
      .down = linear(groups[3]),
      .kv = make_kv_quantizer(recipe, static_cast<int>(index), options.calibration),
      .k_rotation = plan_kv_rotation(recipe.k, c.head_dim),
      .v_rotation = plan_kv_rotation(recipe.v, c.head_dim),
  };
}

void Decoder::norm_into(Matrix& out, Workspace& work, const std::vector<float>& weight,
                        ForwardContext& context) const {
  const PhaseScope scope(context.phases, Phase::kNorm);
  if (&out != &work.x) out.reshape(work.x.rows(), work.x.cols());
  rms_norm_rows(work.x.view(), weight, config_.rms_norm_eps, out.view());
}

void Decoder::attention_block(const Layer& layer, LayerCache& cache, Workspace& work,
                              ForwardContext& context) const {
  norm_into(work.input, work, layer.attention_norm, context);
  Matrix* const qkv[] = {&work.q, &work.k, &work.v};
  layer.qkv.forward(work.input.view(), work.position, qkv, context);
  apply_rope(work.q.view(), work.rope);
  apply_rope(work.k.view(), work.rope);
  rotate_heads(work.q.view(), config_.head_dim, layer.k_rotation);  // q k^T does not change
  rotate_heads(work.k.view(), config_.head_dim, layer.k_rotation);
  rotate_heads(work.v.view(), config_.head_dim, layer.v_rotation);
  if (context.observer) {
    context.observer->on_kv(layer.name + ".k", work.k.view(), work.position);
    context.observer->on_kv(layer.name + ".v", work.v.view(), work.position);
  }
  work.input.reshape(work.x.rows(), config_.heads * config_.head_dim);
  {
    const PhaseScope scope(context.phases, Phase::kAttention);
    attention(work.q.view(), work.k.view(), work.v.view(), work.position,
              {config_.heads, config_.kv_heads, config_.head_dim}, layer.kv, cache,
              work.input.view());
    rotate_heads(work.input.view(), config_.head_dim, layer.v_rotation);  // its own inverse
  }
  layer.o.forward_into(work.input.view(), work.position, work.x.view(), true, context);
}

void Decoder::mlp_block(const Layer& layer, Workspace& work, ForwardContext& context) const {
  norm_into(work.input, work, layer.mlp_norm, context);
  layer.gate_up.forward_gated(work.input.view(), work.position, work.gated, context);
  layer.down.forward_into(work.gated.view(), work.position, work.x.view(), true, context);
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
  const PhaseScope scope(context.phases, Phase::kOther);
  Workspace work{.position = cache.tokens()};
  work.rope = make_rope_table(inverse_frequencies_, work.position, tokens);
  work.x.reshape(tokens, config_.hidden_size);
  embedding_.gather(ids, work.x.view());
  observe("embed", work.x);
  for (size_t i = 0; i < layers_.size(); ++i) {
    attention_block(layers_[i], cache.layer(static_cast<int64_t>(i)), work, context);
    mlp_block(layers_[i], work, context);
    observe(layers_[i].name, work.x);
  }
  cache.advance(tokens);
  norm_into(work.x, work, final_norm_, context);
  observe("final_norm", work.x);
  return std::move(work.x);
}

void Decoder::logits(ConstFloatView hidden, FloatView out, ForwardContext& context) const {
  lm_head_->forward_into(hidden, 0, out, false, context);
}

BitCount Decoder::activation_bits(int64_t tokens) const {
  BitCount bits;
  for_each_linear([&](const Linear& linear) { bits.add(linear.count_bits(tokens)); });
  return bits;
}

BitCount Decoder::kv_bits(int64_t tokens) const {
  BitCount bits;
  for (const Layer& layer : layers_)
    bits.add(
        count_kv_bits(layer.kv, tokens, config_.kv_heads * config_.head_dim, config_.head_dim));
  return bits;
}

bool Decoder::simulated() const {
  bool any = lm_head_->simulated();
  for_each_linear([&](const Linear& linear) { any |= linear.simulated(); });
  return any;
}

int64_t Decoder::weight_bytes() const {
  int64_t bytes = lm_head_->weight_bytes();
  for_each_linear([&](const Linear& linear) { bytes += linear.weight_bytes(); });
  return bytes;
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
    if (kv_storage(layer.kv, config_.head_dim) == KvStorage::kSimulated) {
      notes.push_back(layer.name +
                      " (and perhaps others): quantized K and V are simulated in fp32");
      break;
    }
  for_each_linear([&](const Linear& linear) {
    if (linear.excluded()) notes.push_back(linear.site() + " is excluded: not quantized");
  });
  return notes;
}

}  // namespace stamp
