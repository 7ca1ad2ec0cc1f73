#pragma once
// A checkpoint whose config is spelled another way.
#include "stamp/io/temporary_directory.h"

namespace stamp {

/// A view of a checkpoint with config_alt.json in the place of config.json; removed at the end.
class AlternativeConfig {
 public:
  /// Throws std::runtime_error when the temporary directory cannot be made.
  explicit AlternativeConfig(const std::filesystem::path& checkpoint);
  const std::filesystem::path& path() const { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
};

}  // namespace stamp
