#include "stamp/io/mmap.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <vector>

#include "tests/io/test_files.h"

namespace stamp {
namespace {

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST(MappedFile, ShowsTheBytesOfTheFile) {
  const TempDirectory dir;
  const std::string content("a\0b\xff", 4);
  const MappedFile file(dir.write("f", content));
  EXPECT_EQ(text_of(file), content);
  EXPECT_EQ(file.path(), dir.path() / "f");
}

TEST(MappedFile, RefusesWhatIsNoFileWithContent) {
  const TempDirectory dir;
  std::filesystem::create_symlink("loop", dir.path() / "loop");
  ASSERT_EQ(::mkfifo((dir.path() / "pipe").c_str(), 0600), 0);
  dir.write("empty", "");
  const auto error_of = [&](const char* name) {
    return runtime_error_of([&] { MappedFile file(dir.path() / name); });
  };
  EXPECT_HAS(error_of("missing"), "missing: cannot open, No such file");
  EXPECT_HAS(error_of(""), "a directory");
  EXPECT_HAS(error_of("loop"), "cannot open");
  EXPECT_HAS(error_of("pipe"), "expected a regular file");
  EXPECT_HAS(error_of("empty"), "empty");
}

TEST(DropMappedPages, LeavesContentsOfMappingsAndOtherMemoryAsTheyWere) {
  const TempDirectory dir;
  std::string content(1 << 16, 'x');
  content[40000] = 'y';
  const MappedFile file(dir.write("f", content));
  drop_mapped_pages(file.bytes().data(), static_cast<int64_t>(file.bytes().size()));
  drop_mapped_pages(file.bytes().data() + 5, 9000);
  EXPECT_EQ(text_of(file), content);

  std::vector<char> heap(1 << 20, 'h');  // MADV_DONTNEED would turn it to zeros
  drop_mapped_pages(heap.data(), static_cast<int64_t>(heap.size()));
  EXPECT_EQ(heap, std::vector<char>(1 << 20, 'h'));
  drop_mapped_pages(nullptr, 4096);
  drop_mapped_pages(file.bytes().data(), -1);
  drop_mapped_pages(file.bytes().data(), INT64_MAX);  // reaches beyond the mapping
}

TEST(DropMappedPages, ForgetsMappingsThatAreGone) {
  const TempDirectory dir;
  const void* data = nullptr;
  {
    const MappedFile file(dir.write("f", std::string(1 << 16, 'x')));
    data = file.bytes().data();
  }
  drop_mapped_pages(data, 1 << 16);
  const MappedFile again(dir.path() / "f");
  EXPECT_EQ(text_of(again), std::string(1 << 16, 'x'));
}

}  // namespace
}  // namespace stamp
