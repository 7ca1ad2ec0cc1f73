// Bodies of /v1/images/generations.
#include "stamp/server/image_request.h"
#include "stamp/server/request_fields.h"
#include "tests/fuzz/request_use.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace stamp;
  static const ImageOptions defaults;
  fuzz::answered([&] {
    const ImageOptions options =
        read_image_request(parse_request(fuzz::text_of(data, size)), "m", defaults);
    fuzz::require(options.prompts.size() >= 1 && options.prompts.size() <= 4 &&
                      !options.prompts[0].empty() && options.steps >= 1 && options.steps <= 200 &&
                      options.width >= 0 && options.width <= 99999 && options.height >= 0 &&
                      options.height <= 99999 && options.guidance >= 0 && options.guidance <= 100,
                  "a request out of range");
  });
  return 0;
}
