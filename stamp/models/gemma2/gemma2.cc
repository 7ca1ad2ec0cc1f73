#include "stamp/models/gemma2/gemma2.h"

#include <cmath>

#include "stamp/nn/activations.h"
#include "stamp/nn/embedding.h"
#include "stamp/nn/full_attention.h"
#include "stamp/nn/layers.h"
#include "stamp/nn/rope.h"

namespace stamp {
namespace {

constexpr float kHidden = -1e30f;  // bias of padding
constexpr int64_t kMaxSize = int64_t{1} << 20;

struct Gemma2Config {
  int64_t vocab_size = 0, hidden_size = 0, ff_size = 0, layers = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0, window = 0;
  double eps = 1e-6, theta = 10000, query_scalar = 0, soft_cap = 0;
  std::vector<bool> slides;  // per layer
};

std::vector<bool> read_layer_types(const ConfigReader& config, int64_t layers) {
  std::vector<bool> slides;
  const Json* types = config.find("layer_types");
  if (types == nullptr) {
    for (int64_t i = 0; i < layers; ++i) slides.push_back(i % 2 == 0);
    return slides;
  }
  if (!types->is_array() || static_cast<int64_t>(types->size()) != layers)
    config.reject("layer_types", fmt::format("expected a list of {}", layers));
  for (const Json& type : *types) {
    if (type != "sliding_attention" && type != "full_attention")
      config.reject("layer_types", "supported are \"sliding_attention\" and \"full_attention\"");
    slides.push_back(type == "sliding_attention");
  }
  return slides;
}

double read_theta(const ConfigReader& config) {
  const auto rope = config.object("rope_parameters");
  const ConfigReader& place = rope ? *rope : config;
  if (rope && rope->text("rope_type").value_or("default") != "default")
    rope->reject("rope_type", "supported is \"default\"");
  if (!rope && config.find("rope_scaling")) config.reject("rope_scaling", "supported is null");
  return place.number("rope_theta", 1, 1e15).value_or(10000);
}

Gemma2Config read_config(const ConfigReader& config) {
  const auto size = [&](const char* key, int64_t highest = kMaxSize) {
    return config.required(config.integer(key, 1, highest), key);
  };
  Gemma2Config result{.vocab_size = size("vocab_size"),
                      .hidden_size = size("hidden_size"),
                      .ff_size = size("intermediate_size"),
                      .layers = size("num_hidden_layers", 1024),
                      .heads = size("num_attention_heads", 4096),
                      .kv_heads = size("num_key_value_heads", 4096),
                      .head_dim = size("head_dim", 4096)};
  if (result.heads % result.kv_heads != 0)
    config.reject("num_key_value_heads", fmt::format("expected a divisor of {}", result.heads));
  if (result.head_dim % 2 != 0) config.reject("head_dim", "expected an even size");
  result.window = config.integer("sliding_window", 1, int64_t{1} << 40).value_or(4096);
  result.eps = config.number("rms_norm_eps", 0, 1).value_or(1e-6);
  result.query_scalar = config.number("query_pre_attn_scalar", 1e-6, 1e9).value_or(256);
  result.soft_cap = config.number("attn_logit_softcapping", 1e-6, 1e9).value_or(0);
  result.theta = read_theta(config);
  result.slides = read_layer_types(config, result.layers);
  if (config.boolean("attention_bias").value_or(false))
    config.reject("attention_bias", "supported is false");
  if (config.text("hidden_activation").value_or("gelu_pytorch_tanh") != "gelu_pytorch_tanh")
    config.reject("hidden_activation", "supported is \"gelu_pytorch_tanh\"");
  return result;
}

class Gemma2Encoder : public TextEncoder {
 public:
  explicit Gemma2Encoder(std::shared_ptr<const Component> component)
      : component_(std::move(component)),
        config_(read_config(component_->config())),
        prefix_(component_->has("model.norm.weight") ? "model." : "") {
    const Gemma2Config& c = config_;
    const TensorView& table =
        component_->tensor(prefix_ + "embed_tokens.weight", {c.vocab_size, c.hidden_size});
    embedding_ = Embedding(table, 16);
    // The factor is rounded to the type of the weights.
    const auto factor = static_cast<float>(std::sqrt(static_cast<double>(c.hidden_size)));
    embedding_factor_ = table.dtype == DType::kBF16  ? bf16_to_f32(f32_to_bf16(factor))
                        : table.dtype == DType::kF16 ? round_to_f16(factor)
                                                     : factor;
    final_norm_ = norm("norm");
    frequencies_ = rope_frequencies(c.head_dim, c.theta, std::nullopt);
    for (int64_t i = 0; i < c.layers; ++i) layers_.push_back(load_layer(i));
  }

  int64_t hidden_size() const override { return config_.hidden_size; }

  Matrix forward(std::span<const int32_t> ids, std::span<const uint8_t> mask,
                 ForwardContext& context) const override {
    const auto tokens = static_cast<int64_t>(ids.size());
    Workspace work{.key_bias = key_bias_of(mask, ids.size(), kHidden),
                   .rope = make_rope_table(frequencies_, 0, tokens)};
    Matrix x(tokens, config_.hidden_size);
    embedding_.gather(ids, x.view());
    for (float& value : std::span(x.data(), static_cast<size_t>(x.size())))
      value *= embedding_factor_;
    for (size_t i = 0; i < layers_.size(); ++i) {
      attend(layers_[i], config_.slides[i], x, work, context);
      feed_forward(layers_[i], x, work, context);
      if (context.observer) context.observer->on_hidden(fmt::format("layers.{}", i), x.view());
    }
    rms_norm_rows(x.view(), final_norm_, config_.eps, x.view());
    return x;
  }

 private:
  struct Layer {
    std::vector<float> input_norm, attention_norm, pre_ff_norm, post_ff_norm;
    Linear qkv, o, gate_up, down;
  };
  struct Workspace {
    std::vector<float> key_bias;
    RopeTable rope;
    Matrix input, q, k, v, branch;
  };

  /// Weights of a norm, which multiplies by 1 + w.
  std::vector<float> norm(const std::string& name) const {
    std::vector<float> weight = component_->vector(prefix_ + name + ".weight", config_.hidden_size);
    for (float& value : weight) value += 1.0f;
    return weight;
  }

  Layer load_layer(int64_t index) const {
    const Gemma2Config& c = config_;
    const std::string name = fmt::format("layers.{}.", index);
    const int64_t q_dim = c.heads * c.head_dim, kv_dim = c.kv_heads * c.head_dim;
    const auto weight = [&](const char* part, int64_t out, int64_t in) {
      return component_->linear(prefix_ + name + part, out, in);
    };
    const auto linear = [&](std::vector<LinearWeight> weights) {
      const std::string site = weights[0].name;
      return Linear(site, std::move(weights), Recipe{}, nullptr);
    };
    return {.input_norm = norm(name + "input_layernorm"),
            .attention_norm = norm(name + "post_attention_layernorm"),
            .pre_ff_norm = norm(name + "pre_feedforward_layernorm"),
            .post_ff_norm = norm(name + "post_feedforward_layernorm"),
            .qkv = linear({weight("self_attn.q_proj", q_dim, c.hidden_size),
                           weight("self_attn.k_proj", kv_dim, c.hidden_size),
                           weight("self_attn.v_proj", kv_dim, c.hidden_size)}),
            .o = linear({weight("self_attn.o_proj", c.hidden_size, q_dim)}),
            .gate_up = linear({weight("mlp.gate_proj", c.ff_size, c.hidden_size),
                               weight("mlp.up_proj", c.ff_size, c.hidden_size)}),
            .down = linear({weight("mlp.down_proj", c.hidden_size, c.ff_size)})};
  }

  /// x += norm(branch).
  void add_normed(Matrix& branch, const std::vector<float>& weight, Matrix& x) const {
    rms_norm_rows(branch.view(), weight, config_.eps, branch.view());
    add_rows(x.view(), branch.view());
  }

  void attend(const Layer& layer, bool slides, Matrix& x, Workspace& work,
              ForwardContext& context) const {
    const Gemma2Config& c = config_;
    work.input.reshape(x.rows(), x.cols());
    rms_norm_rows(x.view(), layer.input_norm, c.eps, work.input.view());
    Matrix* const qkv[] = {&work.q, &work.k, &work.v};
    layer.qkv.forward(work.input.view(), 0, qkv, context);
    apply_rope(work.q.view(), work.rope);
    apply_rope(work.k.view(), work.rope);
    work.input.reshape(x.rows(), work.q.cols());
    full_attention(work.q.view(), work.k.view(), work.v.view(),
                   {.heads = c.heads,
                    .kv_heads = c.kv_heads,
                    .head_dim = c.head_dim,
                    .scale = static_cast<float>(1.0 / std::sqrt(c.query_scalar)),
                    .soft_cap = static_cast<float>(c.soft_cap),
                    .key_bias = work.key_bias,
                    .causal = true,
                    .window = slides ? c.window : 0},
                   work.input.view());
    work.branch = apply(layer.o, work.input.view(), context);
    add_normed(work.branch, layer.attention_norm, x);
  }

  void feed_forward(const Layer& layer, Matrix& x, Workspace& work, ForwardContext& context) const {
    work.input.reshape(x.rows(), x.cols());
    rms_norm_rows(x.view(), layer.pre_ff_norm, config_.eps, work.input.view());
    Matrix* const gate_up[] = {&work.q, &work.k};
    layer.gate_up.forward(work.input.view(), 0, gate_up, context);
    gelu_multiply(work.q.view(), work.k.view());
    work.branch = apply(layer.down, work.q.view(), context);
    add_normed(work.branch, layer.post_ff_norm, x);
  }

  std::shared_ptr<const Component> component_;
  Gemma2Config config_;
  std::string prefix_;
  Embedding embedding_;
  float embedding_factor_ = 1;
  std::vector<float> final_norm_;
  RopeFrequencies frequencies_;
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<TextEncoder> make_gemma2_encoder(std::shared_ptr<const Component> component) {
  return std::make_unique<Gemma2Encoder>(std::move(component));
}

}  // namespace stamp
