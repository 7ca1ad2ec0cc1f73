#include "stamp/io/image_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zlib.h>

#include "stamp/io/json.h"
#include "tests/io/sample_picture.h"
#include "tests/io/test_files.h"

namespace stamp {
namespace {

TEST(ImageFile, PngKeepsEveryPixelAndTheMetadata) {
  const TempDirectory dir;
  const Picture picture = sample_picture(13, 7);
  const PictureMetadata metadata = {{"prompt", "a caf\u00e9\nwith tables"}, {"seed", "7"}};
  write_picture(dir.path() / "x.PNG", picture, metadata);
  PictureMetadata got;
  const Picture read = read_png(dir.path() / "x.PNG", &got);
  EXPECT_EQ(read.width, 13);
  EXPECT_EQ(read.height, 7);
  EXPECT_EQ(read.rgb, picture.rgb);
  EXPECT_EQ(got, metadata);
}

TEST(ImageFile, JpegHoldsTheMetadataAsAComment) {
  const TempDirectory dir;
  write_picture(dir.path() / "x.jpg", sample_picture(64, 64), {{"prompt", "a cat"}});
  const std::string bytes = read_text(dir.path() / "x.jpg");
  EXPECT_TRUE(bytes.starts_with("\xff\xd8"));
  EXPECT_TRUE(bytes.ends_with("\xff\xd9"));
  EXPECT_NE(bytes.find("prompt: a cat"), bytes.npos);
}

TEST(ImageFile, RefusesWhatCannotBeWritten) {
  const TempDirectory dir;
  EXPECT_THROW(write_picture(dir.path() / "x.gif", sample_picture(2, 2)), std::invalid_argument);
  EXPECT_THROW(write_picture(dir.path() / "x.png", Picture{}), std::invalid_argument);
  EXPECT_THROW(write_picture(dir.path() / "x.png", {1 << 20, 1, {}}), std::invalid_argument);
  EXPECT_HAS(
      runtime_error_of([&] { write_picture(dir.path() / "no" / "x.png", sample_picture(2, 2)); }),
      "x.png");
}

TEST(ImageFile, BrokenPngsAreErrors) {
  const TempDirectory dir;
  write_picture(dir.path() / "x.png", sample_picture(9, 9));
  const std::string bytes = read_text(dir.path() / "x.png");
  for (size_t size = 0; size + 28 < bytes.size(); size += 5) {
    dir.write("y.png", bytes.substr(0, size) + (size % 2 ? "" : "garbage in place of the rest"));
    EXPECT_NE(runtime_error_of([&] { read_png(dir.path() / "y.png"); }), "") << size;
  }
}

/// A chunk with a checksum.
std::string png_chunk(const std::string& type, const std::string& content) {
  const auto number = [](size_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
    return bytes;
  };
  const std::string data = type + content;
  return number(content.size()) + data +
         number(
             crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size())));
}

TEST(ImageFile, SmallPngsCannotCostMuch) {
  const std::string begin = encode_png(sample_picture(1, 1)).substr(0, 33);  // signature and IHDR
  const auto error_of = [](const std::string& file) {
    return runtime_error_of([&] { decode_png(file, "x.png"); });
  };
  // What chunks say of their size is not allocated for them.
  EXPECT_HAS(error_of(begin + std::string("\x74\x45\x58\x74tEXt", 8)),
             "x.png: libpng: tEXt: chunk");
  // Nor are pixels that do not follow: a picture of 3 GB.
  const std::string large =
      begin.substr(0, 8) + png_chunk("IHDR", std::string("\0\0\x80\0\0\0\x80\0\x08\2\0\0\0", 13));
  const auto peak_kib = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  const auto before = peak_kib();
  EXPECT_HAS(error_of(large + png_chunk("IDAT", "")), "x.png: libpng: ");
  EXPECT_LT(peak_kib() - before, 256 << 10);
}

TEST(ImageFile, RefusesInterlacedPngs) {
  std::string bytes = encode_png(sample_picture(2, 2));
  const std::string interlaced =
      bytes.substr(0, 8) + png_chunk("IHDR", bytes.substr(16, 12) + "\1") + bytes.substr(33);
  EXPECT_HAS(runtime_error_of([&] { decode_png(interlaced, "x.png"); }), "not interlaced");
}

}  // namespace
}  // namespace stamp
