#pragma once
// Sizes of a CLIP model as transformers' CLIPConfig has them.
#include "stamp/io/config_reader.h"

namespace stamp {

enum class ClipActivation { kQuickGelu, kGelu };

/// What both towers have.
struct ClipTowerConfig {
  int64_t hidden_size = 0, ff_size = 0, layers = 0, heads = 0;
  double eps = 1e-5;
  ClipActivation activation = ClipActivation::kQuickGelu;
};
struct ClipConfig {
  ClipTowerConfig text, vision;
  int64_t projection_size = 512;  // of the embeddings that are compared
  int64_t vocab_size = 49408, max_tokens = 77, eos_id = 49407;
  int64_t image_size = 224, patch_size = 32;  // pixels a side
};

/// Reads a config.json of class CLIPModel; keys that it lacks have transformers' defaults, and
/// text_config_dict / vision_config_dict of old files count before text_config / vision_config.
/// Throws std::runtime_error naming key and value for other classes, sizes that are none, and
/// activations besides quick_gelu and gelu.
ClipConfig read_clip_config(const ConfigReader& config);

}  // namespace stamp
