#pragma once
// What readers of requests promise.
#include "stamp/server/api_error.h"
#include "tests/fuzz/fuzz.h"

namespace stamp::fuzz {

/// accepted<ApiError>() where what is thrown becomes the answer of a client's mistake.
template <class Body>
void answered(Body&& body) {
  accepted<ApiError>([&] {
    try {
      body();
    } catch (const ApiError& error) {
      require(error.status >= 400 && error.status < 500, "the server is to blame");
      require(!dump(to_json(error)).empty(), "no answer");
      throw;
    }
  });
}

}  // namespace stamp::fuzz
