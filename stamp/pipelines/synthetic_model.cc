#include "stamp/pipelines/synthetic_model.h"

#include <algorithm>
#include <map>

#include "stamp/core/error.h"
#include "stamp/core/rng.h"
#include "stamp/io/safetensors_writer.h"
#include "stamp/models/weights.h"

namespace stamp {
namespace {

constexpr int64_t kPiece = int64_t{1} << 22;
constexpr uint64_t kLanes = 0x0001000100010001;  // a 1 in each of four 16-bit fields

/// What fills a tensor: words drawn from `mask` over `fixed`.
struct Fill {
  uint64_t mask = 0, fixed = 0;
};

/// Tensors of the file being planned and what fills them.
class Plan {
 public:
  void add_plain(const std::string& name, int64_t out_dim, int64_t in_dim) {
    // +-[1, 2) 2^e: random signs and mantissas below the exponent of the wanted deviation.
    const bf16 size = f32_to_bf16(static_cast<float>(1 / (1.53 * std::sqrt(in_dim))));
    add(name, {DType::kBF16, {out_dim, in_dim}}, {0x807f * kLanes, (size & 0x7f80) * kLanes});
  }
  void add_vector(const std::string& name, int64_t size, float value) {
    add(name, {DType::kBF16, {size}}, {0, f32_to_bf16(value) * kLanes});
  }
  void add_stored(const std::string& name, const WeightSpec& spec, int64_t out_dim,
                  int64_t in_dim) {
    const StoredWeight layout = stored_layout(spec, out_dim, in_dim);
    if (in_dim % (32 / layout.bits) != 0)
      throw_argument("{}: random codes fill whole words of {} bits only, got {} inputs", name,
                     layout.bits, in_dim);
    const double deviation = layout.bits == 4 ? 4.61 : 73.9;  // of uniform codes
    const f16 scale = f32_to_f16(static_cast<float>(1 / (deviation * std::sqrt(in_dim))));
    add(name + ".weight_packed", layout.packed, {~uint64_t{0}, 0});
    add(name + ".weight_scale", layout.scale, {0, scale * kLanes});
    shapes_[name + ".weight_shape"] = {out_dim, in_dim};
    tensors_[name + ".weight_shape"] = {DType::kI64, {2}};
  }
  void add_weight(const std::string& name, const WeightSpec& spec, int64_t out_dim,
                  int64_t in_dim) {
    if (spec.bits < 16) return add_stored(name, spec, out_dim, in_dim);
    add_plain(name + ".weight", out_dim, in_dim);
  }

  void write(const std::filesystem::path& file) const {
    SafetensorsWriter writer(file, tensors_);
    for (const auto& [name, shape] : shapes_)
      writer.write(name, 0, {reinterpret_cast<const char*>(shape.data()), 16});
    Rng rng(0);
    std::vector<uint64_t> words(kPiece / 8);
    for (const auto& [name, fill] : fills_) {
      const int64_t bytes = tensors_.at(name).bytes();
      for (int64_t offset = 0; offset < bytes; offset += kPiece) {
        for (uint64_t& word : words) word = fill.fixed | (fill.mask ? rng.next() & fill.mask : 0);
        const auto size = static_cast<size_t>(std::min(kPiece, bytes - offset));
        writer.write(name, offset, {reinterpret_cast<const char*>(words.data()), size});
      }
    }
    writer.commit();
  }

 private:
  void add(const std::string& name, const TensorView& tensor, const Fill& fill) {
    tensors_[name] = tensor;
    fills_[name] = fill;
  }

  std::map<std::string, TensorView> tensors_;
  std::map<std::string, Fill> fills_;
  std::map<std::string, std::vector<int64_t>> shapes_;
};

void add_layer(Plan& plan, const LlmConfig& config, const Recipe& recipe, int64_t index) {
  const std::string prefix = fmt::format("model.layers.{}.", index);
  for (const LinearGroup& group : linear_groups(config)) {
    const WeightSpec spec = stores_group(recipe, index, group) ? recipe.weights : WeightSpec{};
    for (const WeightRequest& request : group.weights) {
      plan.add_weight(prefix + request.name, spec, request.out_dim, request.in_dim);
      if (request.bias) plan.add_vector(prefix + request.name + ".bias", request.out_dim, 0.01f);
    }
  }
  plan.add_vector(prefix + "input_layernorm.weight", config.hidden_size, 1);
  plan.add_vector(prefix + "post_attention_layernorm.weight", config.hidden_size, 1);
}

}  // namespace

void write_synthetic_model(const Json& config, const Recipe& recipe,
                           const std::filesystem::path& directory) {
  if (recipe.needs_calibration() || recipe.needs_weight_calibration())
    throw_argument("recipe '{}' needs calibration, which random weights cannot have", recipe.name);
  Json stored = config;
  if (!recipe.is_plain())
    stored["quantization_config"] = {{"quant_method", "stamp"}, {"recipe", to_json(recipe)}};
  if (recipe.lm_head.bits < 16 || recipe.embedding_bits < 16)
    stored["tie_word_embeddings"] = false;  // one table cannot have both forms
  write_file_atomically(directory / "config.json", stored.dump(1) + "\n");
  const LlmConfig parsed = read_llm_config(directory);
  Plan plan;
  for (int64_t i = 0; i < parsed.layers; ++i) add_layer(plan, parsed, recipe, i);
  const int64_t vocab = parsed.vocab_size, hidden = parsed.hidden_size;
  plan.add_weight("model.embed_tokens", {.bits = recipe.embedding_bits}, vocab, hidden);
  if (!parsed.tie_word_embeddings) plan.add_weight("lm_head", recipe.lm_head, vocab, hidden);
  plan.add_vector("model.norm.weight", hidden, 1);
  plan.write(directory / "model.safetensors");
}

}  // namespace stamp
