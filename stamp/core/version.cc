#include "stamp/core/version.h"

namespace stamp {

std::string version() { return STAMP_VERSION; }
std::string build_commit() { return STAMP_COMMIT; }

}  // namespace stamp
