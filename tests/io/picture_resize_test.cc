#include "stamp/io/picture_resize.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace stamp {
namespace {

Picture sample(int64_t width, int64_t height) {
  Picture picture{width, height, {}};
  for (int64_t i = 0; i < width * height * 3; ++i)
    picture.rgb.push_back(static_cast<uint8_t>(i * i * 37 % 251));
  return picture;
}

TEST(PictureResize, TheSameSizeIsTheSamePicture) {
  const Picture picture = sample(7, 5);
  EXPECT_EQ(resize_bicubic(picture, 7, 5).rgb, picture.rgb);
}

TEST(PictureResize, FlatPicturesStayFlat) {
  const Picture flat{9, 11, std::vector<uint8_t>(9 * 11 * 3, 201)};
  for (const auto& [width, height] : {std::pair(4, 3), std::pair(20, 31), std::pair(1, 1)}) {
    const Picture got = resize_bicubic(flat, width, height);
    EXPECT_EQ(got.rgb, std::vector<uint8_t>(static_cast<size_t>(width * height * 3), 201));
  }
}

// Image.frombytes("RGB", (4, 3), bytes(i * i * 37 % 251 for i in range(36)))
//     .resize((3, 2), Image.BICUBIC).tobytes()
TEST(PictureResize, BytesAreThoseOfPillow) {
  const std::vector<uint8_t> want = {23,  120, 174, 92,  85,  155, 144, 122, 208,
                                     145, 124, 191, 135, 147, 231, 109, 99,  199};
  EXPECT_EQ(resize_bicubic(sample(4, 3), 3, 2).rgb, want);
}

TEST(PictureResize, TransposingChangesNothingButRounding) {
  const Picture picture = sample(13, 6);
  Picture turned{6, 13, std::vector<uint8_t>(picture.rgb.size())};
  for (int64_t y = 0; y < 6; ++y)
    for (int64_t x = 0; x < 13; ++x)
      for (int64_t c = 0; c < 3; ++c)
        turned.rgb[static_cast<size_t>((x * 6 + y) * 3 + c)] =
            picture.rgb[static_cast<size_t>((y * 13 + x) * 3 + c)];
  const Picture a = resize_bicubic(picture, 5, 9), b = resize_bicubic(turned, 9, 5);
  for (int64_t y = 0; y < 9; ++y)
    for (int64_t x = 0; x < 5; ++x)
      EXPECT_NEAR(a.rgb[static_cast<size_t>((y * 5 + x) * 3)],
                  b.rgb[static_cast<size_t>((x * 9 + y) * 3)], 3);
}

TEST(PictureResize, CutsOut) {
  const Picture picture = sample(4, 3), part = crop(picture, 1, 2, 2, 1);
  EXPECT_EQ(part.width, 2);
  EXPECT_EQ(part.height, 1);
  EXPECT_TRUE(std::equal(part.rgb.begin(), part.rgb.end(), picture.rgb.begin() + 27));
}

TEST(PictureResize, RefusesWhatIsNoPicture) {
  EXPECT_THROW(resize_bicubic(sample(2, 2), 0, 4), std::invalid_argument);
  EXPECT_THROW(resize_bicubic(sample(2, 2), 4, int64_t{1} << 40), std::invalid_argument);
  EXPECT_THROW(resize_bicubic(Picture{}, 2, 2), std::invalid_argument);
  EXPECT_THROW(resize_bicubic({1000, 1000, {1, 2, 3}}, 2, 2), std::invalid_argument);
  EXPECT_THROW(crop(sample(4, 3), 3, 0, 2, 1), std::invalid_argument);
  EXPECT_THROW(crop(sample(4, 3), 0, -1, 2, 1), std::invalid_argument);
  EXPECT_THROW(crop(sample(4, 3), 0, 1, 2, INT64_MAX), std::invalid_argument);
}

}  // namespace
}  // namespace stamp
