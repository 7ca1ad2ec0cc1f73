#pragma once
// PNG (libpng) and JPEG (libjpeg) files of 8-bit RGB pictures.
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stamp {

struct Picture {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

/// Key and text; PNG keeps each as a text chunk, JPEG all of them as one comment.
using PictureMetadata = std::vector<std::pair<std::string, std::string>>;

/// True for names that end in .png, .jpg or .jpeg.
bool is_picture_name(const std::filesystem::path& path);
/// Writes atomically, as the name's ending says (JPEG at quality 95, full chroma). Throws
/// std::invalid_argument for another ending or a picture of no sensible size, std::runtime_error
/// naming path and reason when it cannot be written.
void write_picture(const std::filesystem::path& path, const Picture& picture,
                   const PictureMetadata& metadata = {});
/// The same as bytes of a PNG file.
std::string encode_png(const Picture& picture, const PictureMetadata& metadata = {});
/// Reads an 8-bit RGB PNG as write_picture() makes them. Throws std::runtime_error naming the file.
Picture read_png(const std::filesystem::path& path, PictureMetadata* metadata = nullptr);
/// The same of a file's bytes; errors begin with `where`.
Picture decode_png(std::string_view bytes, const std::string& where,
                   PictureMetadata* metadata = nullptr);

}  // namespace stamp
