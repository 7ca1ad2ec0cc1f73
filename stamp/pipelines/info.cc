#include "stamp/pipelines/info.h"

#include <fmt/ranges.h>

#include <set>

#include "stamp/models/component.h"
#include "stamp/models/model.h"
#include "stamp/pipelines/image_directory.h"

namespace stamp {
namespace {

/// Elements of a tensor; packed codes stand for what the tensor beside them says.
int64_t parameters_of(const TensorStore& weights, const std::string& name) {
  const TensorView& tensor = weights.at(name);
  if (name.ends_with(".weight_scale")) return 0;
  if (name.ends_with(".weight_packed")) return 0;
  if (name.ends_with(".weight_shape"))
    return tensor.dtype == DType::kI64 && tensor.shape == Shape{2}
               ? element_count({tensor.as<int64_t>()[0], tensor.as<int64_t>()[1]})
               : 0;
  return tensor.size();
}

PartInfo part_info(const std::string& name, const std::string& architecture,
                   const TensorStore& weights) {
  PartInfo part{.name = name, .architecture = architecture, .bytes = weights.bytes()};
  std::set<std::string> types;
  for (const auto& [key, tensor] : weights.tensors()) {
    ++part.tensors;
    part.parameters += parameters_of(weights, key);
    if (!key.ends_with(".weight_shape")) types.emplace(dtype_name(tensor.dtype));
  }
  part.types.assign(types.begin(), types.end());
  return part;
}

/// The parts that model_index.json names as [library, class] and that have weights.
std::vector<PartInfo> pipeline_parts(const ImageDirectory& directory) {
  std::vector<PartInfo> parts;
  const Json index = read_json(directory.part("model_index.json"));  // outlives its items()
  for (const auto& [name, value] : index.items()) {
    const bool is_part = value.is_array() && value.size() == 2 && value[1].is_string();
    const bool is_encoder = name.starts_with("text_encoder");
    if (!is_part || !(is_encoder || name == "transformer" || name == "vae")) continue;
    const auto component =
        Component::open(directory.part(name), is_encoder ? "model" : "diffusion_pytorch_model");
    parts.push_back(part_info(name, value[1].get<std::string>(), component->weights()));
  }
  return parts;
}

std::string millions(int64_t count) {
  return fmt::format("{:.1f} M", static_cast<double>(count) / 1e6);
}

std::string stored_line(const Recipe& recipe) {
  return fmt::format("stored as      {}: weights {} bits, lm_head {}, embeddings {}, feature {}\n",
                     recipe.name, recipe.weights.bits, recipe.lm_head.bits, recipe.embedding_bits,
                     recipe.feature);
}

Json to_json(const PartInfo& part) {
  return {{"name", part.name},       {"architecture", part.architecture},
          {"tensors", part.tensors}, {"parameters", part.parameters},
          {"bytes", part.bytes},     {"types", part.types}};
}

std::string_view rope_type(const RopeScaling& scaling) {
  constexpr std::string_view kNames[] = {"linear", "llama3", "yarn"};
  return kNames[static_cast<size_t>(scaling.type)];
}

std::string rope_line(const RopeScaling& scaling) {
  const std::string trained =
      scaling.type == RopeScaling::Type::kLinear
          ? ""
          : fmt::format(", trained on {} positions", scaling.original_max_position_embeddings);
  return fmt::format("RoPE           {}, factor {}{}\n", rope_type(scaling), scaling.factor,
                     trained);
}

}  // namespace

ModelInfo inspect_model(const std::filesystem::path& directory) {
  ModelInfo info{.directory = directory};
  if (std::filesystem::exists(directory / "model_index.json")) {
    const ImageDirectory image = open_image_directory(directory);
    info.pipeline = image.class_name;
    info.parts = pipeline_parts(image);
    return info;
  }
  const auto source = ModelSource::open(directory);
  const LlmConfig& c = source->config();
  info.config = c;
  info.parts.push_back(part_info("", c.architecture, source->weights()));
  if (source->stored_recipe() != nullptr) info.stored_recipe = *source->stored_recipe();
  info.kv_bytes_per_token =
      static_cast<double>(2 * c.layers * c.kv_heads * c.head_dim) * sizeof(float);
  return info;
}

std::string to_text(const ModelInfo& info) {
  std::string text =
      info.directory.string() + (info.pipeline.empty() ? "" : ": " + info.pipeline) + "\n";
  for (const PartInfo& part : info.parts)
    text += fmt::format("{:<14} {}: {} parameters in {} tensors, {:.1f} MB of {}\n",
                        part.name.empty() ? "model" : part.name, part.architecture,
                        millions(part.parameters), part.tensors,
                        static_cast<double>(part.bytes) / 1e6, fmt::join(part.types, ", "));
  if (info.config) {
    const LlmConfig& c = *info.config;
    text += fmt::format(
        "sizes          {} layers, hidden {}, intermediate {}, {} heads and {} of K/V, each of {}\n"
        "tokens         vocabulary {}, positions {}, {:.1f} KB of unquantized K/V per token\n",
        c.layers, c.hidden_size, c.intermediate_size, c.heads, c.kv_heads, c.head_dim, c.vocab_size,
        c.max_positions, info.kv_bytes_per_token / 1e3);
    if (c.rope_scaling) text += rope_line(*c.rope_scaling);
  }
  return text + (info.stored_recipe ? stored_line(*info.stored_recipe) : "");
}

Json to_json(const LlmConfig& config) {
  Json json = {{"architecture", config.architecture},
               {"vocab_size", config.vocab_size},
               {"hidden_size", config.hidden_size},
               {"intermediate_size", config.intermediate_size},
               {"layers", config.layers},
               {"heads", config.heads},
               {"kv_heads", config.kv_heads},
               {"head_dim", config.head_dim},
               {"max_positions", config.max_positions},
               {"eos_token_ids", config.eos_token_ids}};
  if (config.bos_token_id) json["bos_token_id"] = *config.bos_token_id;
  if (const auto& scaling = config.rope_scaling) {
    json["rope_scaling"] = {{"rope_type", rope_type(*scaling)}, {"factor", scaling->factor}};
    if (scaling->type != RopeScaling::Type::kLinear)
      json["rope_scaling"]["original_max_position_embeddings"] =
          scaling->original_max_position_embeddings;
    if (scaling->type == RopeScaling::Type::kYarn)
      json["rope_scaling"]["attention_factor"] = scaling->attention_factor;
  }
  return json;
}

Json to_json(const ModelInfo& info) {
  Json json = {{"directory", info.directory.string()}, {"parts", Json::array()}};
  for (const PartInfo& part : info.parts) json["parts"].push_back(to_json(part));
  if (!info.pipeline.empty()) json["pipeline"] = info.pipeline;
  if (info.stored_recipe) json["stored_recipe"] = stamp::to_json(*info.stored_recipe);
  if (!info.config) return json;
  json["config"] = to_json(*info.config);
  json["kv_bytes_per_token"] = info.kv_bytes_per_token;
  return json;
}

}  // namespace stamp
