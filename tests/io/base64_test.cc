#include "stamp/io/base64.h"

#include <gtest/gtest.h>

namespace stamp {
namespace {

TEST(Base64, KnownTexts) {  // RFC 4648, section 10
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64(std::string_view("\xff\xfe\0", 3)), "//4A");
}

}  // namespace
}  // namespace stamp
