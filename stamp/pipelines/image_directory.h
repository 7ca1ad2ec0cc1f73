#pragma once
// A text-to-image pipeline in a diffusers directory.
#include <filesystem>
#include <string>

namespace stamp {

class ConfigReader;

enum class ImageFamily { kPixArt, kSana };

struct ImageDirectory {
  std::filesystem::path path;
  ImageFamily family = ImageFamily::kPixArt;
  std::string class_name;  // "PixArtSigmaPipeline"

  std::filesystem::path part(const std::string& name) const { return path / name; }
};

/// The class that a model_index.json names, without a path. Throws as open_image_directory().
ImageDirectory read_model_index(const ConfigReader& index);
/// Reads DIR/model_index.json. Throws std::runtime_error naming what is wrong: a missing folder or
/// part, a class that is not supported (PixArtSigmaPipeline, PixArtAlphaPipeline, SanaPipeline).
ImageDirectory open_image_directory(const std::filesystem::path& path);

}  // namespace stamp
