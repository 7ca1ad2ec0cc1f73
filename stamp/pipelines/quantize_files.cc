#include "stamp/pipelines/quantize_files.h"

#include <array>

#include "stamp/core/communicator.h"
#include "stamp/core/version.h"
#include "stamp/io/gguf.h"
#include "stamp/io/model_files.h"
#include "stamp/quant/stored_weight.h"

namespace stamp {
namespace {

constexpr std::array kCompanions = {"tokenizer.json",     "tokenizer_config.json",
                                    "tokenizer.model",    "special_tokens_map.json",
                                    "added_tokens.json",  "vocab.json",
                                    "merges.txt",         "chat_template.jinja",
                                    "chat_template.json", "generation_config.json",
                                    "calibration.txt",    "LICENSE",
                                    "LICENSE.txt",        "NOTICE"};

/// One entry of config_groups.
Json weight_scheme(const WeightSpec& spec, const char* target) {
  const bool grouped = spec.group > 0;
  const Json group_size = grouped ? Json(spec.group) : Json(nullptr);
  return {{"targets", {target}},
          {"weights",
           {{"num_bits", stored_bits(spec)},
            {"type", "int"},
            {"symmetric", true},
            {"strategy", grouped ? "group" : "channel"},
            {"group_size", group_size},
            {"dynamic", false}}},
          {"input_activations", nullptr},
          {"output_activations", nullptr}};
}

Json compressed_tensors_config(const Recipe& recipe, const OutputPlan& plan) {
  Json groups = Json::object();
  if (recipe.weights.bits < 16) groups["group_0"] = weight_scheme(recipe.weights, "Linear");
  if (recipe.lm_head.bits < 16) groups["group_1"] = weight_scheme(recipe.lm_head, "lm_head");
  return {{"quant_method", "compressed-tensors"},
          {"format", "pack-quantized"},
          {"quantization_status", "compressed"},
          {"config_groups", groups},
          {"ignore", plan.plain},
          {"kv_cache_scheme", nullptr}};
}

Json index_of(const OutputPlan& plan) {
  Json map = Json::object();
  int64_t bytes = 0;
  for (const OutputShard& shard : plan.shards)
    for (const auto& [name, view] : shard.layout()) {
      map[name] = shard.file;
      bytes += view.bytes();
    }
  return {{"metadata", {{"total_size", bytes}}}, {"weight_map", map}};
}

Json manifest_of(const ModelSource& source, const Recipe& recipe, const WorkDirectory& work) {
  Json files = Json::object();
  for (const auto& [file, entry] : work.files())
    files[file] = {{"bytes", entry.bytes}, {"sha256", entry.sha256}};
  return {{"program", "stamp " + version() + " (" + build_commit() + ")"},
          {"command", work.command()},
          {"source", source.directory().string()},
          {"recipe", recipe.name},
          {"files", files}};
}

}  // namespace

std::string quant_method(const Recipe& recipe, const OutputPlan& plan) {
  Recipe rest = recipe;
  rest.weights = rest.lm_head = {};
  const bool weights_only = rest.is_plain() && recipe.feature == "none" && recipe.weights.rank == 0;
  return weights_only && plan.groups_are_whole ? "compressed-tensors" : "stamp";
}

Json quantized_config(const ModelSource& source, const Recipe& recipe, const OutputPlan& plan) {
  Json config = read_model_json(source.directory(), "config.json");
  config["tie_word_embeddings"] = plan.ties_embeddings;
  config["quantization_config"] = quant_method(recipe, plan) == "stamp"
                                      ? Json{{"quant_method", "stamp"},
                                             {"format", "pack-quantized"},
                                             {"recipe", to_json(recipe)}}
                                      : compressed_tensors_config(recipe, plan);
  return config;
}

std::vector<Companion> companion_files(const std::filesystem::path& model) {
  std::vector<Companion> files;
  std::error_code ignored;
  const std::filesystem::path folder = model_folder(model);
  for (const char* name : kCompanions) {
    const bool single = is_gguf(model);  // what lies beside it may belong to other models
    if (single && has_model_json(model, name))
      files.push_back({name, {}});
    else if ((!single || name == std::string_view("calibration.txt")) &&
             std::filesystem::is_regular_file(folder / name, ignored))
      files.push_back({name, folder / name});
  }
  return files;
}

void write_small_files(const ModelSource& source, const Recipe& recipe, const OutputPlan& plan,
                       WorkDirectory& work) {
  const auto write = [&](const std::string& file, const std::string& content) {
    if (is_first_process()) write_file_atomically(work.content() / file, content);
    work.finish(file);
  };
  const auto write_json = [&](const std::string& file, const Json& json) {
    write(file, json.dump(1) + "\n");
  };
  write_json("model.safetensors.index.json", index_of(plan));
  for (const Companion& file : companion_files(source.directory())) {
    if (file.path.empty())
      write_json(file.name, read_model_json(source.directory(), file.name));
    else
      write(file.name, read_text(file.path));
  }
  write_json("recipe.json", to_json(recipe));
  write_json("config.json", quantized_config(source, recipe, plan));
  if (is_first_process())
    write_file_atomically(work.content() / "manifest.json",
                          manifest_of(source, recipe, work).dump(1) + "\n");
}

}  // namespace stamp
