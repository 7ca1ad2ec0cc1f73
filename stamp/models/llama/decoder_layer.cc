#include "stamp/models/llama/decoder_layer.h"

#include "stamp/core/error.h"
#include "stamp/models/model_split.h"
#include "stamp/nn/layers.h"

namespace stamp {

std::vector<LinearGroup> decoder_groups(const LlmConfig& config, DecoderBiases biases) {
  const int64_t hidden = config.hidden_size, intermediate = config.intermediate_size;
  const int64_t q_dim = config.heads * config.head_dim, kv_dim = config.kv_heads * config.head_dim;
  return {{.input = "attn_in",
           .weights = {{"self_attn.q_proj", q_dim, hidden, biases.qkv},
                       {"self_attn.k_proj", kv_dim, hidden, biases.qkv},
                       {"self_attn.v_proj", kv_dim, hidden, biases.qkv}},
           .behind_norm = true},
          {.input = "o_in",
           .weights = {{"self_attn.o_proj", hidden, q_dim, biases.o}},
           .head_dim = config.head_dim,
           .row_parallel = true},
          {.input = "mlp_in",
           .weights = {{"mlp.gate_proj", intermediate, hidden, biases.mlp},
                       {"mlp.up_proj", intermediate, hidden, biases.mlp}},
           .branch = 1,
           .behind_norm = true},
          {.input = "down_in",
           .weights = {{"mlp.down_proj", hidden, intermediate, biases.mlp}},
           .branch = 1,
           .row_parallel = true}};
}

DecoderLayer::DecoderLayer(const ModelSource& source, int64_t index, const ModelOptions& options,
                           DecoderBiases biases)
    : index_(index),
      name_(fmt::format("layers.{}", index)),
      config_(own_part(source.config(), options)),
      groups_(decoder_groups(source.config(), biases)),
      kv_(make_kv_quantizer(recipe_for_layer(options.recipe, index), static_cast<int>(index),
                            options.calibration)) {
  Recipe recipe = recipe_for_layer(options.recipe, index);
  recipe.rotation_parts = rotation_parts(options, source.stored_recipe() != nullptr);
  basis_ = decoder_basis(source, index, groups_, recipe, options.calibration);
  for (size_t i = 0; i < groups_.size(); ++i)
    linears_.push_back(load_linear(source, index, groups_[i], basis_.groups[i], options));
  k_rotation_ = plan_kv_rotation(recipe.k, config_.head_dim);
  v_rotation_ = plan_kv_rotation(recipe.v, config_.head_dim);
}

void DecoderLayer::load_group(const ModelSource& source, size_t index,
                              const ModelOptions& options) {
  linears_.at(index) =
      load_linear(source, index_, groups_.at(index), basis_.groups[index], options);
}

void DecoderLayer::norm(const std::vector<float>& weight, DecoderWorkspace& work,
                        ForwardContext& context) const {
  const PhaseScope scope(context.phases, Phase::kNorm);
  work.input.reshape(work.x.rows(), work.x.cols());
  rms_norm_rows(work.x.view(), weight, config_.rms_norm_eps, work.input.view());
}

void DecoderLayer::attend(std::span<LayerCache* const> caches, DecoderWorkspace& work,
                          ForwardContext& context) const {
  norm(basis_.attention_norm, work, context);
  Matrix* const qkv[] = {&work.q, &work.k, &work.v};
  linears_[kQkv].forward(work.input.view(), work.rows, qkv, context);
  apply_rope(work.q.view(), work.rope);
  apply_rope(work.k.view(), work.rope);
  map_rows(work.q.view(), basis_.query);
  map_rows(work.k.view(), basis_.key);
  rotate_heads(work.q.view(), config_.head_dim, k_rotation_);  // q k^T does not change
  rotate_heads(work.k.view(), config_.head_dim, k_rotation_);
  rotate_heads(work.v.view(), config_.head_dim, v_rotation_);
  if (context.observer)
    work.rows.for_each(work.k.rows(), [&](int64_t first, const SequenceRows& part) {
      const auto own = [&](const Matrix& x) { return x.view().rows_from(first, part.count); };
      context.observer->on_kv(name_ + ".k", own(work.k), part.position);
      context.observer->on_kv(name_ + ".v", own(work.v), part.position);
    });
  work.input.reshape(work.x.rows(), config_.heads * config_.head_dim);
  {
    const PhaseScope scope(context.phases, Phase::kAttention);
    attention(work.q.view(), work.k.view(), work.v.view(), work.rows,
              {config_.heads, config_.kv_heads, config_.head_dim}, kv_, caches, work.input.view());
    rotate_heads(work.input.view(), config_.head_dim, v_rotation_);  // its own inverse
  }
  linears_[kO].forward_into(work.input.view(), work.rows, work.x.view(), true, context);
}

void DecoderLayer::feed_forward(DecoderWorkspace& work, ForwardContext& context) const {
  norm(basis_.mlp_norm, work, context);
  linears_[kGateUp].forward_gated(work.input.view(), work.rows, work.gated, context);
  linears_[kDown].forward_into(work.gated.view(), work.rows, work.x.view(), true, context);
}

}  // namespace stamp
