#pragma once
// Model directories of published shapes with random weights, to measure speed and memory.
#include <filesystem>
#include <string>
#include <vector>

#include "stamp/io/json.h"
#include "stamp/quant/recipe.h"

namespace stamp {

/// "tiny", "llama-3.2-1b", ...
std::vector<std::string> shape_names();
/// config.json of a shape, or read from a file. Throws std::invalid_argument for a name that is
/// neither, std::runtime_error as read_json().
Json shape_config(const std::string& name_or_file);

/// Writes config.json and model.safetensors into `directory`, which exists: random codes stored as
/// `stamp quantize` stores them where the recipe quantizes weights, random bf16 elsewhere. Values
/// have the variance 1 / in_dim; norms are 1. Memory stays at a few MB. Throws
/// std::invalid_argument when the recipe needs calibration, which random weights cannot have, or
/// asks for weights without a stored form.
void write_synthetic_model(const Json& config, const Recipe& recipe,
                           const std::filesystem::path& directory);

}  // namespace stamp
