#pragma once
// A directory that lives as long as an object.
#include <filesystem>

namespace stamp {

class TemporaryDirectory {
 public:
  /// A new directory among the temporary files. Throws std::runtime_error when it cannot be made.
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace stamp
