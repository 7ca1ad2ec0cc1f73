#include "stamp/models/t5/t5.h"

#include <algorithm>
#include <cmath>

#include "stamp/nn/activations.h"
#include "stamp/nn/embedding.h"
#include "stamp/nn/full_attention.h"
#include "stamp/nn/layers.h"

namespace stamp {
namespace {

constexpr float kHidden = -1e30f;  // bias of padding
constexpr int64_t kMaxSize = int64_t{1} << 20;

struct T5Config {
  int64_t vocab_size = 0, hidden_size = 0, heads = 0, head_dim = 0, ff_size = 0, layers = 0;
  int64_t buckets = 32, max_distance = 128;
  double eps = 1e-6;
};

T5Config read_config(const ConfigReader& config) {
  const auto size = [&](const char* key, int64_t highest = kMaxSize) {
    return config.required(config.integer(key, 1, highest), key);
  };
  T5Config result{.vocab_size = size("vocab_size"),
                  .hidden_size = size("d_model"),
                  .heads = size("num_heads", 4096),
                  .head_dim = size("d_kv", 4096),
                  .ff_size = size("d_ff"),
                  .layers = size("num_layers", 1024)};
  const char *buckets = "relative_attention_num_buckets",
             *distance = "relative_attention_max_distance";
  result.buckets = config.integer(buckets, 4, 4096).value_or(32);
  if (result.buckets % 4 != 0) config.reject(buckets, "expected a multiple of 4");
  result.max_distance = config.integer(distance, result.buckets, kMaxSize).value_or(128);
  result.eps = config.number("layer_norm_epsilon", 0, 1).value_or(1e-6);
  if (config.text("feed_forward_proj").value_or("relu") != "gated-gelu")
    config.reject("feed_forward_proj", "supported is \"gated-gelu\"");
  return result;
}

class T5Encoder : public TextEncoder {
 public:
  explicit T5Encoder(std::shared_ptr<const Component> component)
      : component_(std::move(component)), config_(read_config(component_->config())) {
    const T5Config& c = config_;
    const char* table =
        component_->has("shared.weight") ? "shared.weight" : "encoder.embed_tokens.weight";
    embedding_ = Embedding(component_->tensor(table, {c.vocab_size, c.hidden_size}), 16);
    final_norm_ = component_->vector("encoder.final_layer_norm.weight", c.hidden_size);
    position_bias_ = to_matrix(
        component_->tensor("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                           {c.buckets, c.heads}));
    for (int64_t i = 0; i < c.layers; ++i) layers_.push_back(load_layer(i));
  }

  int64_t hidden_size() const override { return config_.hidden_size; }

  Matrix forward(std::span<const int32_t> ids, std::span<const uint8_t> mask,
                 ForwardContext& context) const override {
    const std::vector<float> key_bias = key_bias_of(mask, ids.size(), kHidden);
    const auto tokens = static_cast<int64_t>(ids.size());
    const Matrix relative = relative_bias(tokens);
    const FullAttention attention{.heads = config_.heads,
                                  .kv_heads = config_.heads,
                                  .head_dim = config_.head_dim,
                                  .key_bias = key_bias,
                                  .relative_bias = relative.view()};
    Matrix x(tokens, config_.hidden_size);
    embedding_.gather(ids, x.view());
    Workspace work;
    for (size_t i = 0; i < layers_.size(); ++i) {
      attend(layers_[i], attention, x, work, context);
      feed_forward(layers_[i], x, work, context);
      if (context.observer) context.observer->on_hidden(fmt::format("layers.{}", i), x.view());
    }
    rms_norm_rows(x.view(), final_norm_, config_.eps, x.view());
    return x;
  }

 private:
  struct Layer {
    std::vector<float> attention_norm, ff_norm;
    Linear qkv, o, wi, wo;
  };
  struct Workspace {
    Matrix input, q, k, v, up;
  };

  Layer load_layer(int64_t index) const {
    const T5Config& c = config_;
    const int64_t inner = c.heads * c.head_dim;
    const std::string block = fmt::format("encoder.block.{}.layer.", index);
    const std::string attention = block + "0.SelfAttention.", ff = block + "1.DenseReluDense.";
    const auto linear = [&](std::vector<std::string> names, int64_t out, int64_t in) {
      std::vector<LinearWeight> weights;
      for (const std::string& name : names) weights.push_back(component_->linear(name, out, in));
      return Linear(names[0], std::move(weights), Recipe{}, nullptr);
    };
    return {
        .attention_norm = component_->vector(block + "0.layer_norm.weight", c.hidden_size),
        .ff_norm = component_->vector(block + "1.layer_norm.weight", c.hidden_size),
        .qkv = linear({attention + "q", attention + "k", attention + "v"}, inner, c.hidden_size),
        .o = linear({attention + "o"}, c.hidden_size, inner),
        .wi = linear({ff + "wi_0", ff + "wi_1"}, c.ff_size, c.hidden_size),
        .wo = linear({ff + "wo"}, c.hidden_size, c.ff_size)};
  }

  /// [heads, 2 tokens - 1] by distance.
  Matrix relative_bias(int64_t tokens) const {
    Matrix bias(config_.heads, 2 * tokens - 1);
    for (int64_t j = 0; j < bias.cols(); ++j) {
      const int64_t bucket =
          t5_position_bucket(j - (tokens - 1), config_.buckets, config_.max_distance);
      for (int64_t head = 0; head < config_.heads; ++head)
        bias(head, j) = position_bias_(bucket, head);
    }
    return bias;
  }

  void attend(const Layer& layer, const FullAttention& attention, Matrix& x, Workspace& work,
              ForwardContext& context) const {
    work.input.reshape(x.rows(), x.cols());
    rms_norm_rows(x.view(), layer.attention_norm, config_.eps, work.input.view());
    Matrix* const qkv[] = {&work.q, &work.k, &work.v};
    layer.qkv.forward(work.input.view(), 0, qkv, context);
    work.input.reshape(x.rows(), work.q.cols());
    full_attention(work.q.view(), work.k.view(), work.v.view(), attention, work.input.view());
    layer.o.forward_into(work.input.view(), 0, x.view(), true, context);
  }

  void feed_forward(const Layer& layer, Matrix& x, Workspace& work, ForwardContext& context) const {
    work.input.reshape(x.rows(), x.cols());
    rms_norm_rows(x.view(), layer.ff_norm, config_.eps, work.input.view());
    Matrix* const gate_up[] = {&work.q, &work.up};
    layer.wi.forward(work.input.view(), 0, gate_up, context);
    gelu_multiply(work.q.view(), work.up.view());
    layer.wo.forward_into(work.q.view(), 0, x.view(), true, context);
  }

  std::shared_ptr<const Component> component_;
  T5Config config_;
  Embedding embedding_;
  std::vector<float> final_norm_;
  Matrix position_bias_;  // [buckets, heads]
  std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<TextEncoder> make_t5_encoder(std::shared_ptr<const Component> component) {
  return std::make_unique<T5Encoder>(std::move(component));
}

int64_t t5_position_bucket(int64_t distance, int64_t buckets, int64_t max_distance) {
  const int64_t half = buckets / 2, exact = half / 2;
  const int64_t side = distance > 0 ? half : 0, n = std::abs(distance);
  if (n < exact) return side + n;
  // In fp32 and truncated, as the model was trained.
  const float ratio =
      std::log(static_cast<float>(n) / static_cast<float>(exact)) /
      static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
  const auto far = static_cast<int64_t>(ratio * static_cast<float>(half - exact));
  return side + std::min(half - 1, exact + far);
}

}  // namespace stamp
