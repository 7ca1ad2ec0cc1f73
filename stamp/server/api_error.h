#pragma once
// Errors in the shape of OpenAI's API.
#include <stdexcept>
#include <string>

#include "stamp/io/json.h"

namespace stamp {

/// What a client did wrong, or cannot have now.
struct ApiError : std::runtime_error {
  int status = 400;
  std::string code, param;  // empty: null

  ApiError(int status_code, const std::string& message, std::string error_code = "",
           std::string parameter = "")
      : std::runtime_error(message),
        status(status_code),
        code(std::move(error_code)),
        param(std::move(parameter)) {}
};

/// {"error": {"message", "type", "param", "code"}}; the type follows from the status.
inline Json to_json(const ApiError& error) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  const char* const type = error.status == 401   ? "authentication_error"
                           : error.status == 429 ? "rate_limit_error"
                           : error.status >= 500 ? "server_error"
                                                 : "invalid_request_error";
  return {{"error",
           {{"message", error.what()},
            {"type", type},
            {"param", or_null(error.param)},
            {"code", or_null(error.code)}}}};
}

/// Texts may hold bytes that are no UTF-8 (of paths, say).
inline std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace stamp
