#include "stamp/io/atomic_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "stamp/io/json.h"
#include "stamp/io/temporary_directory.h"

namespace stamp {
namespace {

namespace fs = std::filesystem;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

TEST(AtomicFile, HasItsNameWhenItIsWhole) {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "x";
  {
    AtomicFile file(path);
    file.write("abc");
    EXPECT_FALSE(fs::exists(path));
    file.commit();
    EXPECT_EQ(read_text(path), "abc");
  }
  {
    AtomicFile file(path);
    file.write("half");
  }
  EXPECT_EQ(read_text(path), "abc");
  EXPECT_EQ(names_in(folder.path()), std::set<std::string>{"x"});
}

// A process that is killed leaves its neighbour behind, and the next one may have the same number.
TEST(AtomicFile, KeepsClearOfLeftovers) {
  const TemporaryDirectory folder;
  const fs::path path = folder.path() / "x";
  const std::string prefix = "x.tmp-" + std::to_string(::getpid()) + "-";
  int next = 0;
  {
    const AtomicFile file(path);
    const std::string name = *names_in(folder.path()).begin();
    ASSERT_TRUE(name.starts_with(prefix)) << name;
    next = std::stoi(name.substr(prefix.size())) + 1;
  }
  for (int i = 0; i < 3; ++i)
    std::ofstream(folder.path() / (prefix + std::to_string(next + i))) << "left";
  write_file_atomically(path, "abc");
  EXPECT_EQ(read_text(path), "abc");
  EXPECT_EQ(names_in(folder.path()).size(), 4u);
  EXPECT_EQ(read_text(folder.path() / (prefix + std::to_string(next))), "left");
}

TEST(MakeFolders, NamesTheFolderThatCannotBe) {
  const TemporaryDirectory folder;
  make_folders(folder.path() / "a" / "b");
  make_folders(folder.path() / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder.path() / "a" / "b"));
  std::ofstream(folder.path() / "file") << "x";
  try {
    make_folders(folder.path() / "file" / "c");
    FAIL() << "expected an error";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("file/c: cannot create the folder"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace stamp
