#include "stamp/io/temporary_directory.h"

#include <stdlib.h>

#include "stamp/core/error.h"

namespace stamp {

TemporaryDirectory::TemporaryDirectory() {
  std::string name = std::filesystem::temp_directory_path() / "stamp-XXXXXX";
  if (!mkdtemp(name.data())) throw_runtime("{}: cannot make a temporary directory", name);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace stamp
