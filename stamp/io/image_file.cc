#include "stamp/io/image_file.h"

#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>
// jpeglib.h needs stdio before it.
#include <jpeglib.h>

#include "stamp/core/error.h"
#include "stamp/io/json.h"

namespace stamp {
namespace {

constexpr int64_t kLargestSide = 32768;
constexpr int kJpegQuality = 95;
constexpr size_t kLongestComment = 65000;  // of JPEG
// Of a PNG that is read: compressed texts may be a thousand times longer than the file.
constexpr png_alloc_size_t kLongestText = 1 << 20;
constexpr png_uint_32 kMostTexts = 64;

std::string ending_of(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

void check_picture(const Picture& picture) {
  const int64_t w = picture.width, h = picture.height;
  if (w < 1 || h < 1 || w > kLargestSide || h > kLargestSide ||
      static_cast<int64_t>(picture.rgb.size()) != w * h * 3)
    throw_argument("picture: expected 1 to {} pixels a side and 3 bytes each, got {} x {} and {}",
                   kLargestSide, w, h, picture.rgb.size());
}

/// The error pointer is null, or the name of the file.
[[noreturn]] void png_failed(png_structp png, png_const_charp message) {
  const auto* where = static_cast<const std::string*>(png_get_error_ptr(png));
  throw_runtime("{}libpng: {}", where ? *where + ": " : "", message);
}

void png_warned(png_structp, png_const_charp) {}

/// libpng's writer; its errors are exceptions, which its C code lets through.
struct PngWriter {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, png_failed, nullptr);
  png_infop info = png_create_info_struct(png);
  ~PngWriter() { png_destroy_write_struct(&png, &info); }
};

void append_bytes(png_structp png, png_bytep data, size_t size) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<char*>(data), size);
}

[[noreturn]] void jpeg_failed(j_common_ptr info) {
  char message[JMSG_LENGTH_MAX];
  info->err->format_message(info, message);
  throw_runtime("libjpeg: {}", message);
}

/// libjpeg's compressor and what it wrote.
struct JpegWriter {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  JpegWriter() {
    info.err = jpeg_std_error(&errors);
    errors.error_exit = jpeg_failed;
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &bytes, &size);
  }
  ~JpegWriter() {
    jpeg_destroy_compress(&info);
    std::free(bytes);
  }
};

std::string encode_jpeg(const Picture& picture, const PictureMetadata& metadata) {
  JpegWriter writer;
  writer.info.image_width = static_cast<JDIMENSION>(picture.width);
  writer.info.image_height = static_cast<JDIMENSION>(picture.height);
  writer.info.input_components = 3;
  writer.info.in_color_space = JCS_RGB;
  jpeg_set_defaults(&writer.info);
  jpeg_set_quality(&writer.info, kJpegQuality, TRUE);
  writer.info.comp_info[0].h_samp_factor = writer.info.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&writer.info, TRUE);
  std::string comment;
  for (const auto& [key, text] : metadata) comment += fmt::format("{}: {}\n", key, text);
  comment.resize(std::min(comment.size(), kLongestComment));
  if (!comment.empty())
    jpeg_write_marker(&writer.info, JPEG_COM, reinterpret_cast<const JOCTET*>(comment.data()),
                      static_cast<unsigned>(comment.size()));
  for (int64_t y = 0; y < picture.height; ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(picture.rgb.data() + y * picture.width * 3);
    jpeg_write_scanlines(&writer.info, &row, 1);
  }
  jpeg_finish_compress(&writer.info);
  return {reinterpret_cast<char*>(writer.bytes), writer.size};
}

struct PngReader {
  png_structp png;
  png_infop info;
  explicit PngReader(const std::string& where)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, const_cast<std::string*>(&where),
                                   png_failed, png_warned)),
        info(png_create_info_struct(png)) {
    png_set_benign_errors(png, 0);  // else a chunk too large is a warning, and read
    png_set_chunk_malloc_max(png, kLongestText);
    png_set_chunk_cache_max(png, kMostTexts);
  }
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void take_bytes(png_structp png, png_bytep data, size_t size) {
  auto& rest = *static_cast<std::string_view*>(png_get_io_ptr(png));
  if (size > rest.size()) png_error(png, "the file ends too early");
  std::memcpy(data, rest.data(), size);
  rest.remove_prefix(size);
}

}  // namespace

std::string encode_png(const Picture& picture, const PictureMetadata& metadata) {
  check_picture(picture);
  std::string bytes;
  PngWriter writer;
  png_set_write_fn(writer.png, &bytes, append_bytes, nullptr);
  png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(picture.width),
               static_cast<png_uint_32>(picture.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  std::vector<png_text> texts;
  for (const auto& [key, text] : metadata) {
    png_text entry{};
    entry.compression = PNG_ITXT_COMPRESSION_NONE;  // UTF-8
    entry.key = const_cast<char*>(key.c_str());
    entry.text = const_cast<char*>(text.c_str());
    entry.itxt_length = text.size();
    texts.push_back(entry);
  }
  png_set_text(writer.png, writer.info, texts.data(), static_cast<int>(texts.size()));
  png_write_info(writer.png, writer.info);
  for (int64_t y = 0; y < picture.height; ++y)
    png_write_row(writer.png, picture.rgb.data() + y * picture.width * 3);
  png_write_end(writer.png, writer.info);
  return bytes;
}

bool is_picture_name(const std::filesystem::path& path) {
  const std::string ending = ending_of(path);
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

void write_picture(const std::filesystem::path& path, const Picture& picture,
                   const PictureMetadata& metadata) {
  if (!is_picture_name(path))
    throw_argument("{}: expected a name that ends in .png, .jpg or .jpeg", path.string());
  check_picture(picture);
  const bool png = ending_of(path) == ".png";
  write_file_atomically(path, png ? encode_png(picture, metadata) : encode_jpeg(picture, metadata));
}

Picture read_png(const std::filesystem::path& path, PictureMetadata* metadata) {
  return decode_png(read_text(path, int64_t{1} << 32), path.string(), metadata);
}

Picture decode_png(std::string_view bytes, const std::string& where, PictureMetadata* metadata) {
  PngReader reader(where);
  png_set_read_fn(reader.png, &bytes, take_bytes);
  png_read_info(reader.png, reader.info);
  const auto width = png_get_image_width(reader.png, reader.info);
  const auto height = png_get_image_height(reader.png, reader.info);
  if (png_get_color_type(reader.png, reader.info) != PNG_COLOR_TYPE_RGB ||
      png_get_bit_depth(reader.png, reader.info) != 8 ||
      png_get_interlace_type(reader.png, reader.info) != PNG_INTERLACE_NONE ||
      width > kLargestSide || height > kLargestSide)
    throw_runtime("{}: expected 8-bit RGB, not interlaced, of at most {} pixels a side", where,
                  kLargestSide);
  Picture picture{width, height, {}};
  for (size_t y = 0; y < height; ++y) {  // grows with the data: the sizes may be made up
    picture.rgb.resize((y + 1) * width * 3);
    png_read_row(reader.png, picture.rgb.data() + y * width * 3, nullptr);
  }
  png_textp texts = nullptr;
  int count = 0;
  png_get_text(reader.png, reader.info, &texts, &count);
  for (int i = 0; metadata != nullptr && i < count; ++i)
    metadata->emplace_back(texts[i].key, texts[i].text);
  return picture;
}

}  // namespace stamp
