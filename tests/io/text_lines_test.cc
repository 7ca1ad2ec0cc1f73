#include "stamp/io/text_lines.h"

#include <gtest/gtest.h>

#include "tests/io/test_files.h"

namespace stamp {
namespace {

TEST(TextLines, LeaveOutEndsAndEmptyLines) {
  const TempDirectory dir;
  const std::vector<std::string> lines = {"a b", " c", "d"};
  EXPECT_EQ(read_lines(dir.write("lines", "a b\r\n\n c\nd")), lines);
  EXPECT_TRUE(read_lines(dir.write("none", "")).empty());
  EXPECT_THROW(read_lines(dir.path() / "lines", 3), std::runtime_error);
}

}  // namespace
}  // namespace stamp
