#include "stamp/pipelines/alternative_config.h"

namespace stamp {
namespace fs = std::filesystem;

AlternativeConfig::AlternativeConfig(const fs::path& checkpoint) {
  for (const fs::directory_entry& entry : fs::directory_iterator(checkpoint)) {
    const fs::path file = entry.path().filename();
    if (file == "config.json") continue;
    const fs::path target = file == "config_alt.json" ? "config.json" : file;
    fs::create_symlink(fs::absolute(entry.path()), path() / target);
  }
}

}  // namespace stamp
