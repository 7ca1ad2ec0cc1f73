#include "stamp/io/sha256.h"

#include "tests/io/test_files.h"

namespace stamp {
namespace {

TEST(Sha256, KnownDigests) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, FilesLongerThanOnePiece) {
  const TempDirectory dir;
  const std::string content((size_t{1} << 20) + 12345, 'x');
  EXPECT_EQ(sha256_file(dir.write("long", content)), sha256(content));
  EXPECT_EQ(sha256_file(dir.write("empty", "")), sha256(""));
  EXPECT_HAS(runtime_error_of([&] { sha256_file(dir.path() / "none"); }), "none: cannot open");
  EXPECT_HAS(runtime_error_of([&] { sha256_file(dir.path()); }), "a directory");
}

}  // namespace
}  // namespace stamp
