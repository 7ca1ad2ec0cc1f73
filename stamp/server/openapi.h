#pragma once
// The server's description of itself.
#include "stamp/io/json.h"
#include "stamp/server/served_model.h"

namespace stamp {

/// OpenAPI 3.1. `image_model`: empty without pictures; `keys`: clients need one.
Json openapi(const ServedModel& model, const std::string& image_model, bool keys);

}  // namespace stamp
