#pragma once
// Diffusion transformers of published shapes with random weights.
#include <filesystem>
#include <string>
#include <vector>

namespace stamp {

struct ImageShape {
  std::string name;
  bool sana = false;
  int64_t heads = 0, head_dim = 0, cross_heads = 0, cross_head_dim = 0, layers = 0;
  int64_t in_channels = 0, out_channels = 0, patch = 1, sample_size = 0, caption = 0;
};
const std::vector<ImageShape>& image_shapes();

/// Writes config.json and the weights, random bf16, into `directory`, which exists.
void write_synthetic_transformer(const ImageShape& shape, const std::filesystem::path& directory);

}  // namespace stamp
