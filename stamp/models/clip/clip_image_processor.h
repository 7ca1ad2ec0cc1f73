#pragma once
// From a picture to what CLIP's image tower sees.
#include <array>
#include <filesystem>

#include "stamp/io/image_file.h"
#include "stamp/nn/pixel_map.h"

namespace stamp {

struct ClipImageProcessor {
  int64_t short_side = 224;  // pixels after resizing
  int64_t crop_size = 224;   // of the square cut out of the middle; at most short_side
  double rescale = 1.0 / 255;
  std::array<double, 3> mean{}, deviation{};  // of rescaled channels

  /// Resized (bicubic, by the rules of Pillow), cut and normalized: [crop_size, crop_size, 3].
  /// Throws std::invalid_argument for pictures that are none.
  PixelMap prepare(const Picture& picture) const;
};

/// Reads DIR/preprocessor_config.json of a CLIPImageProcessor (CLIPFeatureExtractor), or the part
/// image_processor of DIR/processor_config.json. Throws std::runtime_error naming key and value
/// for steps that are missing, another filter than bicubic, and sizes or numbers that are none.
ClipImageProcessor read_clip_image_processor(const std::filesystem::path& directory);

}  // namespace stamp
