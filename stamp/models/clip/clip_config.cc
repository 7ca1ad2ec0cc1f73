#include "stamp/models/clip/clip_config.h"

namespace stamp {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 20;

void check_class(const ConfigReader& config) {
  const Json* names = config.find("architectures");
  const bool fits = names == nullptr
                        ? config.text("model_type") == "clip"
                        : names->is_array() && names->size() == 1 && (*names)[0] == "CLIPModel";
  if (!fits) config.reject("architectures", "supported is CLIPModel (text and image tower)");
}

ConfigReader part_of(const ConfigReader& config, const std::string& name) {
  if (auto old = config.object(name + "_dict")) return *std::move(old);
  return config.required(config.object(name), name);
}

ClipTowerConfig read_tower(const ConfigReader& config, ClipTowerConfig usual) {
  const auto size = [&](const char* key, int64_t& value, int64_t highest) {
    value = config.integer(key, 1, highest).value_or(value);
  };
  size("hidden_size", usual.hidden_size, kMaxSize);
  size("intermediate_size", usual.ff_size, kMaxSize);
  size("num_hidden_layers", usual.layers, 1024);
  size("num_attention_heads", usual.heads, 4096);
  if (usual.hidden_size % usual.heads != 0)
    config.reject("num_attention_heads",
                  fmt::format("expected a divisor of hidden_size {}", usual.hidden_size));
  usual.eps = config.number("layer_norm_eps", 0, 1).value_or(usual.eps);
  const std::string activation = config.text("hidden_act").value_or("quick_gelu");
  if (activation != "quick_gelu" && activation != "gelu")
    config.reject("hidden_act", "supported are \"quick_gelu\" and \"gelu\"");
  if (activation == "gelu") usual.activation = ClipActivation::kGelu;
  return usual;
}

}  // namespace

ClipConfig read_clip_config(const ConfigReader& config) {
  check_class(config);
  const ConfigReader text = part_of(config, "text_config"),
                     vision = part_of(config, "vision_config");
  ClipConfig result{
      .text = read_tower(text, {.hidden_size = 512, .ff_size = 2048, .layers = 12, .heads = 8}),
      .vision =
          read_tower(vision, {.hidden_size = 768, .ff_size = 3072, .layers = 12, .heads = 12})};
  const auto size = [](const ConfigReader& part, const char* key, int64_t& value, int64_t lowest,
                       int64_t highest) {
    value = part.integer(key, lowest, highest).value_or(value);
  };
  size(config, "projection_dim", result.projection_size, 1, kMaxSize);
  size(text, "vocab_size", result.vocab_size, 1, int64_t{1} << 22);
  size(text, "max_position_embeddings", result.max_tokens, 1, 1 << 16);
  size(text, "eos_token_id", result.eos_id, 0, (int64_t{1} << 22) - 1);
  size(vision, "image_size", result.image_size, 1, 4096);
  size(vision, "patch_size", result.patch_size, 1, result.image_size);
  if (vision.integer("num_channels", 1, 4096).value_or(3) != 3)
    vision.reject("num_channels", "supported is 3");
  return result;
}

}  // namespace stamp
