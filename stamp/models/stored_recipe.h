#pragma once
// The recipe of a directory with stored weights, and which recipes such weights can serve.
#include <filesystem>
#include <optional>
#include <string>

#include "stamp/io/hf_config.h"
#include "stamp/quant/recipe.h"

namespace stamp {

/// Nothing for a plain model, and for one that another program stored in integers. quant_method
/// "stamp" holds the recipe inside quantization_config, "compressed-tensors" in recipe.json beside.
/// Throws std::runtime_error naming the file when the recipe is missing or not valid, or has no
/// stored form (asymmetric weights).
std::optional<Recipe> read_stored_recipe(const std::filesystem::path& directory,
                                         const LlmConfig& config);

/// Throws std::invalid_argument unless `recipe` treats weights as `stored` does: feature,
/// smoothing, seed, weights, lm_head, embedding_bits and exclude are equal, and so is center unless
/// it is "none".
void check_same_weights(const Recipe& recipe, const Recipe& stored, const std::string& where);

}  // namespace stamp
