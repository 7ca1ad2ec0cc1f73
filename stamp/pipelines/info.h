#pragma once
// What a model directory holds.
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "stamp/io/hf_config.h"
#include "stamp/io/json.h"
#include "stamp/quant/recipe.h"

namespace stamp {

/// A model, or a part of an image pipeline.
struct PartInfo {
  std::string name;          // of the folder; empty: the directory itself
  std::string architecture;  // class name
  int64_t tensors = 0, bytes = 0;
  int64_t parameters = 0;          // elements; of packed weights those that the codes stand for
  std::vector<std::string> types;  // of elements: "BF16", ...
};

struct ModelInfo {
  std::filesystem::path directory;
  std::string pipeline;  // class name of an image pipeline; empty: a language model
  std::vector<PartInfo> parts;
  std::optional<LlmConfig> config;      // of a language model
  std::optional<Recipe> stored_recipe;  // of quantized weights
  double kv_bytes_per_token = 0;        // fp32 rows, all layers; language models
};

/// Reads configurations and the headers of weight files; tensors are not touched. Throws
/// std::runtime_error naming what is missing or not supported.
ModelInfo inspect_model(const std::filesystem::path& directory);
std::string to_text(const ModelInfo& info);
/// Sizes by their names in `stamp info --json` and in Python.
Json to_json(const LlmConfig& config);
Json to_json(const ModelInfo& info);

}  // namespace stamp
