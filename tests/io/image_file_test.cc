#include "stamp/io/image_file.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace stamp
